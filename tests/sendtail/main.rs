//! Black-box tests: the built binary on a free port, real files, real sockets. Each module is one
//! group of scenarios; every wait is for a fact with a generous deadline, and the server's log is
//! shown on failure.

// Starts servers, talks to them, waits for facts.
mod support;

// The one line a client sends: its ends, its blanks, and everything that is no header.
mod header;

// Where the data begins: offsets, and lines as the real `tail` counts them.
mod start;

// What a path may name, and that nothing else is ever served or touched.
mod path;

// A file PATH may lead anywhere, and is waited for.
mod file_path;

// Appends reach every client of a file, through rename, truncation and absence.
mod follow;

// One watch an inode, the tick, and polling where there are no watches.
mod watch;

// Slow, stuck, rude and vanished clients cost the others nothing.
mod client;

// Addresses, ports, unix sockets, the `listening` lines.
mod listen;

// Arguments, exit statuses, signals, the log.
mod process;

// Too many clients, descriptors and files.
mod limits;

// What a quiet server costs.
mod idle;

// Every nc, socat, bash and curl that is installed.
mod clients_real;

// A real nginx under load.
mod nginx;

// The clients that come with it, in `examples/`.
mod examples;

// Help, man page and README say the same.
mod pages;

// What the README tells people to type.
mod readme;
