//! What is in a list, on real files.

mod asking; // who gets which list, when

use super::walk::NAMES_MAX;
use super::*;
use crate::paths::may_read;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

/// Everything that a test of `Listings` needs, with a clock of its own.
struct Scene {
    directory: TempDir,
    roots: Roots,
    texts: Texts,
    listings: Listings,
    now: Instant,
}

impl Scene {
    /// A directory PATH with these files.
    fn new(files: &[&str]) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            write(&directory.path().join(file));
        }
        let paths = [directory.path().to_path_buf()];
        Scene::serving(directory, &paths)
    }

    fn serving(directory: TempDir, paths: &[PathBuf]) -> Scene {
        Scene {
            roots: Roots::new(paths).unwrap(),
            directory,
            texts: Texts::default(),
            listings: Listings::default(),
            now: Instant::now(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn ask(&mut self, dir: &str, client: usize) -> Result<Listed, Refusal> {
        let dir = (!dir.is_empty()).then_some(Path::new(dir));
        let (roots, texts) = (&self.roots, &mut self.texts);
        self.listings
            .ask(dir, Token(client), roots, texts, self.now)
    }

    /// Steps until the list under way is over; the clients that hear of it, and after how many
    /// steps.
    fn finish_one(&mut self) -> (Vec<usize>, usize) {
        let (mut ready, mut steps) = (vec![], 0);
        while ready.is_empty() {
            assert!(self.listings.has_work());
            self.listings
                .step(&self.roots, &mut self.texts, self.now, &mut ready);
            steps += 1;
        }
        (ready.into_iter().map(|token| token.0).collect(), steps)
    }

    /// What a client gets in the end: the lines.
    fn list(&mut self, dir: &str) -> Result<Vec<String>, Refusal> {
        self.now += 2 * GOOD_FOR;
        if self.ask(dir, 0)? == Listed::Later {
            assert_eq!(self.finish_one().0, [0]);
        }
        let Listed::Ready(key) = self.ask(dir, 0)? else {
            panic!("it is not ready");
        };
        let text = String::from_utf8(self.texts.bytes(key).to_vec()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn names(&mut self, dir: &str) -> Result<Vec<String>, Refusal> {
        let name = |line: &String| line.split('\t').nth(2).unwrap().to_owned();
        Ok(self.list(dir)?.iter().map(name).collect())
    }
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

#[test]
fn a_line_is_size_and_time_and_name() {
    let mut scene = Scene::new(&[]);
    fs::write(scene.path("a b"), "12345").unwrap();
    let file = File::options().write(true).open(scene.path("a b")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::new(1_795_271_400, 999_999_999))
        .unwrap();
    assert_eq!(scene.list("").unwrap(), ["5\t2026-11-21T14:30:00Z\ta%20b"]);
}

#[test]
fn names_are_sorted_by_their_bytes() {
    let names = ["a", "a b", "a-b", "a.b", "a/b", "aa", "b", "é", "B", "a/B"];
    let mut scene = Scene::new(&names[1..]);
    let mut expected: Vec<&[u8]> = names[1..].iter().map(|name| name.as_bytes()).collect();
    expected.sort();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|name| String::from_utf8_lossy(name).replace(' ', "%20"))
        .map(|name| name.replace('é', "%C3%A9"))
        .collect();
    assert_eq!(scene.names("").unwrap(), expected);
}

#[test]
fn only_what_could_be_asked_for_is_listed() {
    let mut scene = Scene::new(&[
        "log",
        "a/b/deep",
        ".hidden",
        "a/.hidden",
        ".git/config",
        "a/.git/config",
        "..two",
        "a..b",
    ]);
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("secret"));
    for (target, link) in [
        ("log", "to-file"),
        ("../log", "a/up"),
        (".hidden", "to-hidden"),
        ("b", "a/to-directory"),
        ("nothing", "dangling"),
        ("loop", "loop"),
        ("..", "a/parent"),
    ] {
        symlink(target, scene.path(link)).unwrap();
    }
    symlink(scene.path("log"), scene.path("absolute")).unwrap();
    symlink(outside.path(), scene.path("out")).unwrap();
    let up = "../".repeat(20);
    let far = format!("{up}{}", outside.path().join("secret").display());
    symlink(far, scene.path("out-file")).unwrap();
    mkfifo(&scene.path("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("socket")).unwrap();
    symlink("fifo", scene.path("to-fifo")).unwrap();
    fs::create_dir(scene.path("empty")).unwrap();
    let expected = ["a..b", "a/b/deep", "a/up", "log", "to-file", "to-hidden"];
    assert_eq!(scene.names("").unwrap(), expected);
    // Each of them can be opened by the rules, and by its name.
    for name in expected {
        let place = scene.roots.resolve(Some(Path::new(name))).unwrap();
        assert!(scene.roots.open(&place).is_ok(), "{name}");
    }
}

#[test]
fn a_directory_can_be_asked_for() {
    let mut scene = Scene::new(&["log", "a/one", "a/b/two", "ab/three", ".hidden/x"]);
    symlink("a", scene.path("link")).unwrap();
    symlink(".hidden", scene.path("dark")).unwrap();
    symlink("/", scene.path("out")).unwrap();
    let below = ["a/b/two", "a/one"];
    for dir in ["a", "a/", "./a", "a//", "a/."] {
        assert_eq!(scene.names(dir).unwrap(), below, "{dir}");
    }
    assert_eq!(scene.names("a/b").unwrap(), ["a/b/two"]);
    assert_eq!(scene.names("log").unwrap(), ["log"]);
    assert_eq!(scene.names("link").unwrap(), ["link/b/two", "link/one"]);
    // The rule judges the name asked for, as it does with files.
    assert_eq!(scene.names("dark").unwrap(), ["dark/x"]);
    let everything = scene.names("").unwrap();
    assert_eq!(everything, ["a/b/two", "a/one", "ab/three", "log"]);
    for dir in [".", "./", "././."] {
        assert_eq!(scene.names(dir).unwrap(), everything, "{dir}");
    }
    for dir in [
        "..", "a/..", "/", "/etc", ".hidden", "a/.git", "nothing", "log/x", "out", "out/etc",
    ] {
        assert_eq!(scene.names(dir), Err(Refusal::NoSuchFile), "{dir}");
    }
}

#[test]
fn with_several_paths_names_begin_with_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["logs", "access.log", "absent", "shut"].map(|name| directory.path().join(name));
    for file in ["logs/b", "logs/a/c", "access.log", "elsewhere"] {
        write(&directory.path().join(file));
    }
    let mut scene = Scene::serving(directory, &paths);
    // A file PATH may become anything.
    mkfifo(&scene.path("shut"), Mode::S_IRWXU).unwrap();
    let everything = ["access.log", "logs/a/c", "logs/b"];
    assert_eq!(scene.names("").unwrap(), everything);
    assert_eq!(scene.names("logs").unwrap(), everything[1..]);
    assert_eq!(scene.names("logs/a").unwrap(), ["logs/a/c"]);
    assert_eq!(scene.names("access.log").unwrap(), ["access.log"]);
    for dir in ["absent", "shut", "elsewhere", "access.log/x", "a"] {
        assert_eq!(scene.names(dir), Err(Refusal::NoSuchFile), "{dir}");
    }
    // The operator's, to anywhere.
    symlink("elsewhere", scene.path("absent")).unwrap();
    assert_eq!(scene.names("absent").unwrap(), ["absent"]);
    let all = ["absent", "access.log", "logs/a/c", "logs/b"];
    assert_eq!(scene.names("").unwrap(), all);
}

#[test]
fn a_server_of_one_file_lists_that_one() {
    for (name, listed) in [("log", &["log"][..]), ("a b", &["a%20b"]), (".log", &[])] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        write(&path);
        let mut scene = Scene::serving(directory, &[path]);
        assert_eq!(scene.names("").unwrap(), listed);
        assert_eq!(scene.names("other"), Err(Refusal::NoSuchFile));
        if name == "log" {
            assert_eq!(scene.names("log").unwrap(), listed);
        }
        fs::remove_file(scene.path(name)).unwrap();
        assert!(scene.names("").unwrap().is_empty());
    }
}

#[test]
fn a_link_says_what_its_file_is() {
    let mut scene = Scene::new(&[]);
    fs::write(scene.path("file"), vec![b'x'; 4321]).unwrap();
    symlink("file", scene.path("link")).unwrap();
    let lines = scene.list("").unwrap();
    assert_eq!(lines[0].replace("file", "link"), lines[1]);
    assert!(lines[1].starts_with("4321\t"), "{lines:?}");
}

#[test]
fn what_may_not_be_read_is_left_out() {
    let mut scene = Scene::new(&["log", "closed", "shut/x", "dark/y"]);
    for (name, mode) in [("closed", 0o200), ("shut", 0o600), ("dark", 0o300)] {
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    if may_read(&scene.path("closed")) {
        // We are root.
        return;
    }
    symlink("closed", scene.path("to-closed")).unwrap();
    assert_eq!(scene.names("").unwrap(), ["log"]);
    for name in ["shut", "dark"] {
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn names_too_long_for_a_header_are_left_out() {
    let mut scene = Scene::new(&["log"]);
    // Three bytes each when they are written: 301 a level, its slash included.
    let level = format!("{}/", "%".repeat(100));
    let directory = level.repeat(13);
    let room = line::NAME_BYTES_MAX - 13 * 301;
    assert_eq!(room % 3, 0);
    for length in [room / 3, room / 3 + 1] {
        write(&scene.path(&format!("{directory}{}", "%".repeat(length))));
    }
    write(&scene.path(&format!("{directory}{level}short")));
    let names = scene.names("").unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0].len(), line::NAME_BYTES_MAX);
    assert_eq!(names[1], "log");
}

#[test]
fn names_may_have_any_bytes() {
    let mut scene = Scene::new(&[]);
    for name in [&b"\xff\xfe"[..], b"new\nline", b"%41", b"tab\t", b"k=v"] {
        fs::write(scene.directory.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let expected = ["%2541", "k%3Dv", "new%0Aline", "tab%09", "%FF%FE"];
    assert_eq!(scene.names("").unwrap(), expected);
}

#[test]
fn there_is_an_end_to_a_list_and_nobody_waits_long() {
    let mut scene = Scene::new(&[]);
    for number in 0..NAMES_MAX {
        File::create(scene.path(&format!("{number}"))).unwrap();
    }
    assert_eq!(scene.ask("", 0), Ok(Listed::Later));
    let (_, steps) = scene.finish_one();
    // Each name is looked at once and written once.
    assert!(steps >= 2 * NAMES_MAX / 128, "{steps} steps");
    assert_eq!(scene.names("").unwrap().len(), NAMES_MAX);
    File::create(scene.path("one more")).unwrap();
    assert_eq!(scene.names(""), Err(Refusal::MoreFiles));
    // It is kept like a list.
    assert_eq!(scene.ask("", 1), Err(Refusal::MoreFiles));
    fs::remove_file(scene.path("7")).unwrap();
    assert_eq!(scene.names("").unwrap().len(), NAMES_MAX);
}

/// The directory that is gone into next is another's by then.
#[test]
fn a_directory_that_becomes_a_link_is_not_gone_into() {
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("secret"));
    let mut scene = Scene::new(&["a/log", "b/inside"]);
    // The top is read, entry by entry, and its directories are ahead.
    let mut walk = Walk::new(None, &scene.roots);
    for _ in 0..4 {
        assert_eq!(walk.advance(&scene.roots), Ok(true));
    }
    for (name, target) in [("a", outside.path()), ("b", Path::new("a2"))] {
        let moved = format!("{name}2");
        fs::rename(scene.path(name), scene.path(&moved)).unwrap();
        symlink(target, scene.path(name)).unwrap();
    }
    let text = walk.step(&scene.roots).unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&text), "");
    assert_eq!(scene.names("").unwrap(), ["a2/log", "b2/inside"]);
}

#[test]
fn all_descriptors_are_given_back() {
    let mut scene = Scene::new(&["a/x", "b/y", "c/d/e/z"]);
    let open = || fs::read_dir("/proc/self/fd").unwrap();
    let ours = |path: &Path| {
        let targets = open().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target.starts_with(path)).count()
    };
    let mut walk = Walk::new(None, &scene.roots);
    let mut most = 0;
    while walk.advance(&scene.roots) == Ok(true) {
        most = most.max(ours(scene.directory.path()));
    }
    assert_eq!(most, 1);
    assert_eq!(ours(scene.directory.path()), 0);
    assert_eq!(scene.names("").unwrap().len(), 3);
    assert_eq!(ours(scene.directory.path()), 0);
}
