package graph

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Comment is what somebody wrote on an alert or incident. It has no id and cannot be changed.
type Comment struct {
	Comment              string `json:"comment"`
	CreatedByDisplayName string `json:"createdByDisplayName"`
	CreatedDateTime      string `json:"createdDateTime"` // as sent
}

// UnmarshalJSON reads a comment, in the older spelling of some pages too.
func (c *Comment) UnmarshalJSON(data []byte) error {
	var raw struct {
		Comment              text `json:"comment"`
		CreatedByDisplayName text `json:"createdByDisplayName"`
		CreatedDateTime      text `json:"createdDateTime"`
		CreatedBy            text `json:"createdBy"`
		CreatedTime          text `json:"createdTime"`
	}
	if string(data) == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*c = Comment{string(raw.Comment), string(raw.CreatedByDisplayName), string(raw.CreatedDateTime)}
	if c.CreatedByDisplayName == "" {
		c.CreatedByDisplayName = string(raw.CreatedBy)
	}
	if c.CreatedDateTime == "" {
		c.CreatedDateTime = string(raw.CreatedTime)
	}
	return nil
}

// commentBody is the documented form of a new comment: one object, not a list.
type commentBody struct {
	Type    string `json:"@odata.type"`
	Comment string `json:"comment"`
}

// CommentAlert adds a comment and returns all comments of the alert, the newest last. Sending
// the same comment twice makes two: put a marker in the text and look for it before.
func (c *Client) CommentAlert(ctx context.Context, id, text string) ([]Comment, error) {
	return c.comment(ctx, opCommentAlert, id, text)
}

// CommentIncident adds a comment and returns all comments of the incident, as [Client.CommentAlert] does.
func (c *Client) CommentIncident(ctx context.Context, id, text string) ([]Comment, error) {
	return c.comment(ctx, opCommentIncident, id, text)
}

func (c *Client) comment(ctx context.Context, op operation, id, text string) ([]Comment, error) {
	if wrong := checkComment(text); wrong != "" {
		return nil, c.invalid(op, wrong)
	}
	q, err := c.newCall(op, id, "", commentBody{"microsoft.graph.security.alertComment", text})
	if err != nil {
		return nil, err
	}
	var all struct {
		Value list[Comment] `json:"value"`
	}
	if err := c.do(ctx, q, &all); err != nil {
		return nil, err
	}
	return all.Value, nil
}

// checkComment says what is wrong with the text of a comment.
func checkComment(text string) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "the comment is empty"
	case utf8.RuneCountInString(text) > MaxCommentLength:
		return "the comment is longer than 30000 characters: shorten it"
	}
	return ""
}
