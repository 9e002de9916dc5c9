//! HTTP on the same port. What is on the wire is read strictly; what people use for it (curl, wget,
//! Python, Node, nginx, HAProxy) has to take it as well.

// What a reply is, byte by byte.
mod wire;

// Programs that speak HTTP.
mod programs;

// Files as they are: whole, ranges, resumed downloads.
mod plain;

// From any start of the raw protocol, and from a place.
mod starts;

// Bytes that follow, in chunks.
mod follow;

// How streams end, and how it is told from an accident.
mod endings;

// Only some lines.
mod filters;

// Server-sent events, through everything that cuts them off.
mod events;

// Each refusal has its status.
mod refusals;

// Bad input: one status each, and nobody else is disturbed.
mod abuse;

// The same at random.
mod random;

// What a page from elsewhere may try.
mod browsers;

// Who is served HTTP at all, by which name, and how many.
mod doors;

// nginx and HAProxy in front, with the configurations in `examples/proxies`.
mod proxies;
