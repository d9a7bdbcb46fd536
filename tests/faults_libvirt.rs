//! libvirtd stopped, killed, hung and started again beneath a portal that
//! serves: the real binary over a libvirtd of the test's own.
#![cfg(feature = "libvirt")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/faults.rs"]
mod faults;
#[path = "common/own_libvirt.rs"]
mod own_libvirt;
#[path = "common/place.rs"]
mod place;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::time::{Duration, Instant};

use faults::{Portal, eventually};
use own_libvirt::OwnLibvirt;

/// Nobody waits longer than this for a libvirtd that is away.
const FAST: Duration = Duration::from_secs(8);
/// As soon as it is known to be away, nobody waits at all.
const AT_ONCE: Duration = Duration::from_secs(3);

fn over(own: &OwnLibvirt) -> Portal {
    Portal::serve(&format!(
        "[driver.libvirt]\nuri = \"{}\"\naccel = \"tcg\"\n[monitor]\nsample_s = 1\n",
        own.uri()
    ))
}

/// What holds while libvirt is away, however it went.
fn assert_away(portal: &Portal, words: &str) {
    eventually("/readyz names libvirt", || portal.get("/readyz").1 == "not ready: libvirt\n");
    assert_eq!(portal.get("/readyz").0, 503);
    let (status, body) = portal.get("/healthz");
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &health["status"], &health["services"]["libvirt"]),
        (503, &"unhealthy".into(), &"unhealthy".into())
    );
    assert_eq!(health["services"]["database"], "healthy", "{body}");
    assert_eq!(portal.get("/livez").0, 200);
    assert!(
        portal.get("/readyz?verbose").1.contains("the VMs run on"),
        "{}",
        portal.get("/readyz?verbose").1
    );

    // What is known is told, and of when it is.
    let began = Instant::now();
    let listed = portal.ssh(&["vm", "ls"]).expect(0).says("libvirt is away since 20");
    assert!(listed.stdout.contains("web1") && listed.stdout.contains("running"), "{}", listed.stdout);
    let listed = portal.ssh(&["vm", "ls", "--json"]).expect(0);
    let vms: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&vms[0]["state"], listed.stderr.as_str()), (&"running".into(), ""));
    assert!(began.elapsed() < AT_ONCE, "lists took {:?}", began.elapsed());

    // What needs it ends with 7 and a hint, at once.
    let needs: [&[&str]; 6] = [
        &["vm", "new", "web2"],
        &["vm", "stop", "web1", "--force"],
        &["vm", "restart", "web1", "--force"],
        &["vm", "pause", "web1"],
        &["vm", "destroy", "web1", "--yes"],
        &["vm", "stats", "web1"],
    ];
    for line in needs {
        let began = Instant::now();
        let done = portal.ssh(line).expect(7);
        assert!(
            done.stderr.contains(words) || done.stderr.contains("is away since"),
            "{line:?}: {}",
            done.stderr
        );
        assert!(done.stderr.contains("Try again shortly"), "{line:?}: {}", done.stderr);
        assert!(began.elapsed() < AT_ONCE, "{line:?} took {:?}", began.elapsed());
    }
    let listed = portal.ssh(&["vm", "ls"]).expect(0);
    assert!(!listed.stdout.contains("web2"), "what cannot be begun leaves nothing: {}", listed.stdout);
    // The way into a VM does not lead through libvirt.
    assert_eq!(portal.inside("web1", "echo still here").expect(0).stdout, "still here\n");
}

fn assert_back(portal: &Portal) {
    eventually("/readyz is ready again", || portal.get("/readyz") == (200, String::from("ready\n")));
    let listed = portal.ssh(&["vm", "ls"]).expect(0);
    assert!(listed.stderr.is_empty() && listed.stdout.contains("running"), "{listed:?}");
    let stats = portal.ssh(&["vm", "stats", "web1", "--json"]).expect(0).stdout;
    assert!(stats.contains("\"state\":\"running\""), "{stats}");
}

#[test]
fn a_stopped_or_killed_libvirtd_is_told_and_found_again_and_its_vms_run_on() {
    let mut own = OwnLibvirt::start();
    let portal = over(&own);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    let before = own.emulators();
    assert_eq!(before.len(), 1);
    for kill in [false, true] {
        if kill {
            own.kill()
        } else {
            own.stop()
        }
        assert_away(&portal, "libvirt cannot be reached.");
        own.start_again();
        assert_back(&portal);
        assert_eq!(own.emulators(), before, "the VM runs on");
    }
    let events = portal.ssh(&["event", "ls", "--action", "driver.*", "--json"]).expect(0).stdout;
    assert_eq!(events.matches("driver.disconnected").count(), 2, "{events}");
    assert_eq!(events.matches("driver.connected").count(), 2, "{events}");

    // One that dies while nobody looks is seen when somebody does.
    own.kill();
    rustix::process::kill_process(own.emulators()[0], rustix::process::Signal::KILL).unwrap();
    own.start_again();
    eventually("the VM that died is noticed", || {
        !portal.vm("web1")["state"].as_str().unwrap().starts_with("run")
    });
    let events = portal.ssh(&["event", "ls", "--action", "vm.state"]).expect(0).stdout;
    assert!(events.contains("web1.admin"), "{events}");
    portal.ssh(&["vm", "start", "web1"]).expect(0);
    assert_eq!(portal.vm("web1")["state"], "running");
    portal.ssh(&["vm", "destroy", "web1", "--yes"]).expect(0);
    assert!(own.emulators().is_empty());
}

#[test]
fn a_hung_libvirtd_costs_nobody_more_than_seconds() {
    let own = OwnLibvirt::start();
    let portal = over(&own);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    own.freeze();
    // Whoever asks in this very moment waits until an answer is overdue, and no longer.
    let began = Instant::now();
    portal.ssh(&["vm", "pause", "web1"]).expect(7).says("libvirt does not answer.");
    assert!(began.elapsed() < FAST, "{:?}", began.elapsed());
    assert_away(&portal, "libvirt does not answer.");
    own.thaw();
    // What it was asked before it hung it may have done: the state is the true one.
    eventually("/readyz is ready again", || portal.get("/readyz").0 == 200);
    eventually("the state is libvirt's", || {
        let truth = String::from_utf8_lossy(&own.virsh(&["list", "--all"]).stdout).into_owned();
        truth.contains(portal.vm("web1")["state"].as_str().unwrap())
    });
    let _ = portal.ssh(&["vm", "resume", "web1"]);
    assert_back(&portal);

    // So long that the connections are given up: after it, as after a restart.
    own.freeze();
    eventually("/readyz says that it is out of reach", || {
        portal.get("/readyz?verbose").1.contains("cannot be reached")
    });
    assert_away(&portal, "libvirt cannot be reached.");
    own.thaw();
    assert_back(&portal);
}

#[test]
fn an_order_under_way_when_libvirtd_goes_ends_clearly_and_leaves_nothing() {
    let mut own = OwnLibvirt::start();
    let portal = over(&own);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    for (round, freeze) in [("killed", false), ("hung", true)] {
        // In several places of the order, by how far it is.
        for step in ["preparing the disk", "defining the machine", "starting", "waiting for SSH"] {
            let name = format!("{round}-{}", step.split(' ').next().unwrap());
            let mut order = portal.begin(&["vm", "new", &name]);
            order.says(step);
            if freeze {
                own.freeze()
            } else {
                own.kill()
            }
            let began = Instant::now();
            let done = order.ended();
            // Where the guest boots already, libvirt is not needed any more.
            assert!(done.status == 0 || step != "waiting for SSH", "{name}: {done:?}");
            // It may have got past the point before libvirtd went.
            assert!(matches!(done.status, 0 | 7), "{name}: {done:?}");
            assert!(done.status == 0 || done.stderr.contains("Try again shortly"), "{name}: {done:?}");
            assert!(done.status == 0 || began.elapsed() < FAST, "{name}: {:?}", began.elapsed());
            if freeze {
                own.thaw()
            } else {
                own.start_again()
            }
            eventually("/readyz is ready again", || portal.get("/readyz").0 == 200);
            if done.status == 0 {
                portal.ssh(&["vm", "destroy", &name, "--yes"]).expect(0);
            }
            eventually("nothing is left of it", || {
                let domains =
                    String::from_utf8_lossy(&own.virsh(&["list", "--all", "--name"]).stdout).into_owned();
                portal.ssh(&["vm", "show", &name]).status == 3
                    && !domains.contains(&name)
                    && own.emulators().len() == 1
                    && place::files(&portal.place.path("data/vms")).len() == 1
            });
        }
    }
    assert_eq!(portal.inside("web1", "echo all the time").expect(0).stdout, "all the time\n");
}
