//! Who gets which list, when, and how much of it there can be.

use super::*;

#[test]
fn one_walk_serves_all_who_ask_meanwhile() {
    let mut scene = Scene::new(&["log"]);
    assert!(!scene.listings.has_work());
    for client in 1..=3 {
        assert_eq!(scene.ask("", client), Ok(Listed::Later));
    }
    assert_eq!(scene.ask("./", 4), Ok(Listed::Later));
    assert_eq!(scene.finish_one().0, [1, 2, 3, 4]);
    assert!(!scene.listings.has_work());
    let Ok(Listed::Ready(key)) = scene.ask("", 1) else {
        panic!("it is not ready");
    };
    // Made at most once a second: what is new is not in it yet.
    write(&scene.path("new"));
    scene.now += GOOD_FOR;
    assert_eq!(scene.ask("", 5), Ok(Listed::Ready(key)));
    scene.now += Duration::from_nanos(1);
    assert_eq!(scene.ask("", 6), Ok(Listed::Later));
    assert_eq!(scene.finish_one().0, [6]);
    assert_eq!(scene.names("").unwrap(), ["log", "new"]);
}

#[test]
fn another_list_waits_for_its_turn() {
    let mut scene = Scene::new(&["a/x", "b/y"]);
    for (dir, client) in [("a", 1), ("b", 2), ("a", 3), ("nothing", 4), ("b/", 5)] {
        assert_eq!(scene.ask(dir, client), Ok(Listed::Later));
    }
    assert_eq!(scene.finish_one().0, [1, 3]);
    assert_eq!(scene.finish_one().0, [2, 5]);
    assert_eq!(scene.finish_one().0, [4]);
    assert!(matches!(scene.ask("a", 1), Ok(Listed::Ready(_))));
    assert_eq!(scene.ask("nothing", 4), Err(Refusal::NoSuchFile));
    scene.now += 2 * GOOD_FOR;
    assert_eq!(scene.ask("nothing", 4), Ok(Listed::Later));
}

#[test]
fn a_list_is_in_memory_for_as_long_as_somebody_reads_it() {
    let mut scene = Scene::new(&["log"]);
    scene.ask("", 1).unwrap();
    scene.finish_one();
    let Ok(Listed::Ready(key)) = scene.ask("", 1) else {
        panic!("it is not ready");
    };
    scene.texts.enter(key);
    scene.now += 2 * GOOD_FOR;
    let mut ready = vec![];
    let (roots, texts) = (&scene.roots, &mut scene.texts);
    scene.listings.step(roots, texts, scene.now, &mut ready);
    assert!(scene.texts.bytes(key).ends_with(b"\tlog\n"));
    assert!(ready.is_empty());
    scene.texts.leave(key);
    assert_eq!(scene.texts.held_bytes(), 0);
}

#[test]
fn clients_that_do_not_read_hold_no_more_than_a_limit() {
    let mut scene = Scene::new(&["log"]);
    let stuck = scene.texts.add(vec![b'x'; TEXTS_BYTES_MAX]);
    scene.texts.enter(stuck);
    assert_eq!(scene.ask("", 1), Err(Refusal::TryAgain));
    scene.texts.leave(stuck);
    assert_eq!(scene.ask("", 1), Ok(Listed::Later));
}

#[test]
fn the_line_has_an_end() {
    let mut scene = Scene::new(&["log"]);
    for number in 0..LINE_MAX {
        assert_eq!(scene.ask(&format!("{number}"), number), Ok(Listed::Later));
    }
    assert_eq!(scene.ask("more", 1), Err(Refusal::TryAgain));
    assert_eq!(scene.ask("7", 1), Ok(Listed::Later));
    assert_eq!(scene.finish_one().0, [0]);
    assert_eq!(scene.ask("more", 1), Ok(Listed::Later));
    while scene.listings.has_work() {
        scene.finish_one();
    }
    assert_eq!(scene.listings.waiting, 0);
    assert_eq!(scene.listings.kept.len(), KEPT_MAX);
    // The last ones are kept.
    assert_eq!(scene.ask("more", 1), Err(Refusal::NoSuchFile));
    assert_eq!(scene.ask("0", 1), Ok(Listed::Later));
}
