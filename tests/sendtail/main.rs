//! Black-box tests: the built binary on a free port, real files, real sockets. Each module is one
//! group of scenarios; every wait is for a fact with a generous deadline, and the server's log is
//! shown on failure.

// Starts servers, talks to them, waits for facts.
mod support;

// The one line a client sends: its ends, its blanks, and everything that is no header.
mod header;

// Where the data begins: offsets, and lines as the real `tail` counts them.
mod start;

// Some of the lines, and not for ever.
mod filter;
mod once;

// What a path may name, and that nothing else is ever served or touched.
mod path;

// A file PATH may lead anywhere, and is waited for.
mod file_path;

// A file that is truncated begins anew, and nobody takes its bytes for the old ones.
mod truncation;

// What a name leads to may change in many ways.
mod names;

// Lost events, no events at all, and file systems that are made of others.
mod kernel;

// Appends reach every client of a file, through rename, truncation and absence.
mod follow;

// What becomes of a file that loses its name: followed to its last byte, then let go.
mod rotation;

// One watch an inode, the tick, and polling where there are no watches.
mod watch;

// Random histories of rotations, truncations and deletions, held against a model.
mod model;

// An hour of everything at once, and a few seconds of it.
mod soak;

// Slow, stuck, rude and vanished clients cost the others nothing.
mod client;

// Followers come first, whatever the others do.
mod fairness;

// What is not in memory is waited for by those alone who asked for it.
mod cold;

// Addresses, ports, unix sockets, the `listening` lines.
mod listen;

// Whatever comes to an open port costs the others nothing, and leaves nothing behind.
mod abuse;

// Sockets from a service manager, and what it is told.
mod inherited;

// The unit files: what systemd makes of them, and that a server can live with what they leave it.
mod systemd;

// What the process cannot do once it serves.
mod sandbox;

// Who may connect, and how many at a time.
mod allow;

// Through ssh, stunnel and WireGuard, as the README shows it.
mod encrypted;

// What could be asked for: complete, in order, and in nobody's way.
mod listing;

// What Prometheus is told, and what it makes of it.
mod metrics;

// Arguments, exit statuses, signals, the log.
mod process;

// The same logs in curl, browsers, scripts and behind proxies.
mod http;

// The page, in a real browser.
mod page;

// Too many clients, descriptors and files.
mod limits;

// What a quiet server costs.
mod idle;

// What a delivery costs: system calls, and nothing from the heap.
mod cost;

// Every nc, socat, bash and curl that is installed.
mod clients_real;

// What was written under one name, and what each client got of it.
mod history;

// System calls that fail, in the middle of everything: whoever is concerned at worst, never a spin.
mod faults;

// What happens between two system calls is seen, with strace holding them apart.
mod races;

// A real logrotate in each of its modes.
mod logrotate;

// A real nginx under load, and while its log is rotated.
mod nginx;

// The clients that come with it, in `examples/`.
mod examples;

// Help, man page and README say the same.
mod pages;

// What the README tells people to type.
mod readme;
