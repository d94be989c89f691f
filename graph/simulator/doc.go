// Package simulator is a small Microsoft Graph: the alerts and incidents of Graph security and its advanced
// hunting, beside it the machines of Defender for Endpoint, and the Entra authority that issues the tokens to reach
// them, served over real HTTPS or in process. In life these are three hosts; here they are three surfaces of one,
// told apart by their paths, each with tokens and errors of its own.
//
// It exists so that a playbook can be tried, a daemon tested and a failure rehearsed without a tenant. The
// promises it makes to its callers:
//
//   - It knows nothing of the client. No type is shared with package graph, so the two cannot be wrong together.
//     Documents are JSON objects; a field the simulator has never heard of is kept and served.
//   - What the public contract leaves open is a named knob in [Behaviour], not a guess in the code.
//   - The effect log is the truth. Each change asked for through the API is performed and written down under one
//     lock, before its answer leaves; a lost answer (a [Fault] with When "after") never loses the line.
//   - Nothing happens behind the caller's back. There is no background goroutine: late alerts, late evidence
//     and expiring tokens are worked out when a request arrives, from time.Now and [Server.SetClock], which is why
//     the simulator also runs inside a testing/synctest bubble through [Server.Transport].
//   - The same seed and start give the same documents.
//
// Resources are rows of one table of routes (routes.go): a method, a path, the roles that may call it and a
// handler. A new resource is a new file with its rows.
package simulator
