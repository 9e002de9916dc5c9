//! Names to places, and what a command line may say.

use super::*;

fn roots(kinds: &[(&str, Kind)]) -> Roots {
    Roots {
        roots: kinds
            .iter()
            .map(|&(path, kind)| Root {
                path: path.into(),
                kind,
            })
            .collect(),
        is_confined: false,
    }
}

#[test]
fn names_to_places() {
    use Kind::*;
    let one_file = roots(&[("/var/log/access.log", File)]);
    let one_directory = roots(&[("/var/log", Directory)]);
    let several = roots(&[("/var/log/nginx", Directory), ("a/access.log", File)]);
    for (roots, asked, root, below) in [
        (&one_file, None, 0, ""),
        (&one_file, Some("access.log"), 0, ""),
        (&one_file, Some("./access.log"), 0, ""),
        (
            &one_directory,
            Some("nginx/access.log"),
            0,
            "nginx/access.log",
        ),
        (&one_directory, Some("./a//b/./c/"), 0, "a/b/c"),
        (&one_directory, Some("a..b/c."), 0, "a..b/c."),
        (&one_directory, Some("log"), 0, "log"),
        (&several, Some("access.log"), 1, ""),
        (&several, Some("nginx/error.log"), 0, "error.log"),
    ] {
        let place = Place {
            root,
            below: below.into(),
        };
        assert_eq!(roots.resolve(asked.map(Path::new)), Ok(place), "{asked:?}");
    }
    for (roots, asked) in [
        (&one_file, "other.log"),
        (&one_file, "access.log/x"),
        (&one_directory, "/etc/passwd"),
        (&one_directory, "//etc/passwd"),
        (&one_directory, ".."),
        (&one_directory, "a/../b"),
        (&one_directory, ".hidden"),
        (&one_directory, "a/.git/config"),
        (&one_directory, "."),
        (&one_directory, ""),
        (&several, "nginx"),
        (&several, "error.log"),
    ] {
        let refused = roots.resolve(Some(Path::new(asked)));
        let unresolved = refused.expect_err(asked);
        assert_eq!(unresolved.refusal, Refusal::NoSuchFile, "{asked:?}");
        assert!(unresolved.why.is_some(), "{asked:?}");
    }
    for roots in [&one_directory, &several] {
        assert_eq!(roots.resolve(None), Err(Unresolved::PATH_NEEDED));
    }
}

#[test]
fn names_that_cannot_be_told_apart() {
    for (paths, good) in [
        (&["a/log"][..], true),
        (&["/"], true),
        (&[".."], true),
        (&[".hidden"], true),
        (&["a/log", "b/log2"], true),
        (&[".a/log", "b/log2"], true),
        (&["a/log", "b/log"], false),
        (&["a/log", "log/"], false),
        (&["a/log", "/"], false),
        (&["a/log", ".."], false),
        (&["a/log", ".hidden"], false),
    ] {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        assert_eq!(Roots::check_names(&paths).is_ok(), good, "{paths:?}");
    }
}

#[test]
fn where_a_file_can_come_to_be() {
    for (path, can) in [
        ("log", true),
        ("a/log", true),
        ("/log", true),
        ("log/", false),
        ("log/.", false),
        ("log/..", false),
        ("a//log", true),
    ] {
        assert_eq!(names_a_file(Path::new(path)), can, "{path}");
    }
}
