// Package graph speaks the endpoints of the Microsoft Graph security API that playbookd uses:
// it reads, updates, comments, moves and merges alerts (alerts_v2) and incidents, and runs hunting
// queries. Machines are isolated and released through the API of Defender for Endpoint, which is
// another host with tokens of its own and the same manners: the client speaks both ([API]).
//
// It is a small REST client on net/http, not the generated SDK: that way it alone decides when
// a request is sent, what is known about a request that failed, and what leaves the process.
//
// # Promises
//
// A request that changes something is sent once. The only repetition in this package is the one
// after a 401, which Graph answers before it looks at the request: the token is fetched anew and
// the request sent a second time. Whether to try again after any other failure is a decision that
// the engine makes and records. Reads may take a second road: see [Client.Incidents].
//
// Every failure is an [Error]. It says whether another attempt may help, after how long, and
// whether the request may have taken effect although no good answer came ([Error.Fault]).
//
// A token goes to the configured host that it was made for, over https, and nowhere else: redirects are not followed,
// and a next link to another host is refused. Tokens and secrets appear in no error, log or URL.
//
// Graph's limits are kept before Graph has to enforce them: one budget for each tenant and class
// of endpoints ([Budget]). A 429 or a 503 with Retry-After pauses the whole class for every
// caller, because requests made during the pause would count as well.
//
// Answers are read with tolerance: unknown fields, unknown enum members and evidence of unknown
// types are kept as they came ([Alert].Raw). What is sent is exact: only documented fields, only
// members of the published enums.
package graph
