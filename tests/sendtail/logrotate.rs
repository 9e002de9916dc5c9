//! A real logrotate in each of its modes, several times in a row, while a daemon logs as fast as it
//! likes and a real `nc` follows: what `nc` got is the files put together.

mod scene;

use nix::sys::signal::Signal;

use crate::support::{has_program, wait_until};

use scene::Scene;

const ROTATIONS: usize = 5;

/// What the configuration says, beside how many files to keep and how to tell the daemon.
const MODES: [&str; 7] = [
    "create",
    "nocreate",
    "create\n olddir old\n createolddir",
    // The seconds, to be rotated more than once a day.
    "create\n dateext\n dateformat -%Y%m%d-%s",
    "create\n compress",
    "create\n compress\n delaycompress",
    "nocreate\n olddir old\n createolddir\n compress\n delaycompress",
];

#[test]
fn with_each_mode_nc_gets_the_files_put_together() {
    in_each(&MODES, |mode| {
        let scene = Scene::new();
        let mut script = "kill -HUP $(cat pid)".to_owned();
        if mode.contains("compress") {
            // What the daemon writes to a file that is being compressed would be in no file in the
            // end, and `nc` would have more than the files.
            script += "; until [ -e reopened ]; do sleep 0.01; done; rm reopened";
        }
        let config = format!(
            "{mode}\n postrotate\n cd {}; {script}\n endscript",
            scene.path()
        );
        for rotation in 1..=ROTATIONS {
            scene.wait_for_growth();
            if mode.contains("olddir") || mode.contains("compress") {
                // Then nothing in this directory says where it is to be found.
                scene.wait_for_server();
            }
            wait_until("the file is rotated", || {
                // With `dateext` not twice in one second.
                scene.logrotate(&config);
                scene.rotated_files().len() == rotation
            });
        }
        scene.wait_for_growth();
        scene.expect_files_put_together();
    });
}

/// What is written between logrotate's copy and its truncation is in no file, and who follows may
/// get it or not. So the daemon pauses, and everybody gets what there is before it goes on.
#[test]
fn with_copytruncate_nc_gets_the_files_put_together() {
    in_each(&["copytruncate", "copytruncate\n compress"], |mode| {
        let scene = Scene::new();
        for _ in 0..ROTATIONS {
            scene.wait_for_growth();
            scene.pause();
            scene.wait_for_nc();
            scene.logrotate(mode);
            scene.signal(Signal::SIGCONT);
        }
        scene.wait_for_growth();
        scene.expect_files_put_together();
    });
}

/// Without a pause the promise is this: the lines come in order and once. What was written and
/// truncated away between two looks may be missing, once for each truncation; if it had been seen
/// and could not be sent any more, the connection is closed, and the log says so.
#[test]
fn with_copytruncate_under_load_nothing_is_skipped_silently() {
    in_each(&["copytruncate", "copytruncate\n compress"], |mode| {
        let scene = Scene::new();
        for _ in 0..ROTATIONS {
            scene.wait_for_growth();
            scene.logrotate(mode);
        }
        scene.wait_for_growth();
        scene.expect_order(ROTATIONS);
    });
}

fn in_each(modes: &[&'static str], test: impl Fn(&str) + Sync) {
    if !["logrotate", "nc.openbsd", "python3"]
        .iter()
        .all(|name| has_program(name))
    {
        return;
    }
    std::thread::scope(|scope| {
        for mode in modes {
            let thread = std::thread::Builder::new().name(mode.replace('\n', ","));
            let started = thread.spawn_scoped(scope, || test(mode));
            started.expect("there is room for a thread");
        }
    });
}
