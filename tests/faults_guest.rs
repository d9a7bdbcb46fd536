//! Guests that die, never boot, lose their network, flood their console and fill
//! their disk: the real binary over a libvirtd of the test's own.
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

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use faults::{Portal, eventually};
use own_libvirt::OwnLibvirt;
use rustix::process::{Signal, kill_process};
use twarga::image::{Catalogue, install};

fn over(own: &OwnLibvirt, boot_timeout_s: u64) -> Portal {
    Portal::serve(&format!(
        "[driver.libvirt]\nuri = \"{}\"\naccel = \"tcg\"\nboot_timeout_s = {boot_timeout_s}\n[monitor]\nsample_s = 1\n",
        own.uri()
    ))
}

/// An image like micro with another kernel, or other words to it.
fn install_broken(portal: &Portal, name: &str, kernel: Option<&[u8]>, args: &str) {
    let micro = Catalogue::new(faults::images());
    let image = micro.get("micro").unwrap();
    let (manifest, boot) = micro.verified("micro", &image.digest).unwrap();
    let out = portal.place.path(&format!("out-{name}"));
    std::fs::create_dir(&out).unwrap();
    std::fs::copy(&boot.initrd, out.join("initrd")).unwrap();
    std::fs::copy(&boot.disk, out.join("disk.qcow2")).unwrap();
    match kernel {
        Some(bytes) => std::fs::write(out.join("kernel"), bytes).unwrap(),
        None => drop(std::fs::copy(&boot.kernel, out.join("kernel")).unwrap()),
    }
    let recipe = format!(
        "description = \"broken\"\nssh_user = \"root\"\nkernel_args = \"{} {args}\"\nmin_ram_mb = 64\n\
         min_disk_gb = 1\nguest_agent = false\n",
        manifest.kernel_args
    );
    std::fs::write(out.join("recipe.toml"), recipe).unwrap();
    // The images are everybody's: this portal gets a folder of its own that leads to them.
    let images = portal.place.path("data/images");
    if images.is_symlink() {
        std::fs::remove_file(&images).unwrap();
        std::fs::create_dir(&images).unwrap();
        std::os::unix::fs::symlink(faults::images().join("micro"), images.join("micro")).unwrap();
    }
    install(&Catalogue::new(images), name, &out).unwrap();
}

#[test]
fn an_emulator_that_is_killed_is_seen_written_down_and_started_again() {
    let own = OwnLibvirt::start();
    let portal = over(&own, 300);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    portal.inside("web1", "echo kept >/root/file; sync").expect(0);
    kill_process(own.emulators()[0], Signal::KILL).unwrap();
    let killed = Instant::now();
    eventually("the VM is in error", || portal.vm("web1")["state"] == "error");
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let shown = portal.ssh(&["vm", "show", "web1"]).expect(0).stdout;
    assert!(shown.contains("crashed"), "{shown}");
    portal.inside("web1", "true").expect(4).says("`vm start web1`");
    let events =
        portal.ssh(&["event", "ls", "--action", "vm.state", "--severity", "medium"]).expect(0).stdout;
    assert!(events.contains("web1.admin"), "{events}");
    portal.ssh(&["vm", "start", "web1"]).expect(0);
    assert_eq!(portal.inside("web1", "cat /root/file").expect(0).stdout, "kept\n");
}

#[test]
fn a_guest_that_never_boots_is_told_in_time_and_stays_to_be_looked_at() {
    let own = OwnLibvirt::start();
    let portal = over(&own, 25);
    // It panics for want of a first program; it never gets that far; it is no kernel.
    install_broken(&portal, "panic", None, "rdinit=/nonesuch root=/dev/nonesuch");
    install_broken(&portal, "junk", Some(&[0x55; 100_000]), "");
    install_broken(&portal, "stub", Some(b"no kernel"), "");
    let began = Instant::now();
    let done = portal.ssh(&["vm", "new", "dead", "--image", "panic"]).expect(8);
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    let done = done.says("“dead” runs, but its SSH server did not answer in 25s.");
    done.says("Its screen ends with “").says("`vm console dead`").says("`vm destroy dead`");
    assert_eq!(portal.vm("dead")["state"], "running");
    portal.ssh(&["vm", "destroy", "dead", "--yes"]).expect(0);
    for image in ["junk", "stub"] {
        let done = portal.ssh(&["vm", "new", image, "--image", image]);
        match done.status {
            // QEMU itself refuses it: nothing is left.
            7 => {
                done.says("QEMU cannot load the image's kernel.").says("twarga image build");
                portal.ssh(&["vm", "show", image]).expect(3);
            }
            8 => {
                done.says("its SSH server did not answer").says(&format!("`vm console {image}`"));
                portal.ssh(&["vm", "destroy", image, "--yes"]).expect(0);
            }
            other => panic!("{image}: {other}: {done:?}"),
        }
    }
    assert!(own.emulators().is_empty());
    assert_eq!(place::files(&portal.place.path("data/vms")), Vec::<String>::new());
}

/// Whether an SSH server says its banner there, in good time for an emulated machine.
fn greets(port: u16) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut banner = [0; 4];
    stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
}

#[test]
fn a_guest_without_network_is_told_of_and_a_restart_mends_it() {
    let own = OwnLibvirt::start();
    let portal = over(&own, 120);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    portal.inside("web1", "(sleep 1; ifconfig eth0 down) >/dev/null 2>&1 &").expect(0);
    // Not by commands: one that is there as it happens waits for as long as guests may be silent.
    let port = portal.vm("web1")["ssh_port"].as_u64().unwrap();
    eventually("its network is gone", || !greets(u16::try_from(port).unwrap()));
    let began = Instant::now();
    let done = portal.inside("web1", "true");
    let took = began.elapsed();
    done.expect(7).says("“web1” runs, but its SSH server does not answer.").says("vm console");
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert_eq!(portal.vm("web1")["state"], "running");
    portal.ssh(&["vm", "restart", "web1", "--force"]).expect(0);
    assert_eq!(portal.inside("web1", "echo back").expect(0).stdout, "back\n");
}

/// Somebody at the console, reading or not.
fn viewer(portal: &Portal) -> Child {
    let command = portal.place.ssh_command(portal.serving.port, &["vm", "console", "web1"]);
    let mut at_a_terminal = std::process::Command::new("ssh");
    at_a_terminal.arg("-tt").args(command.get_args());
    at_a_terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn resident_mb(portal: &Portal) -> f64 {
    let metrics = portal.get("/metrics").1;
    let line = metrics.lines().find(|l| l.starts_with("twarga_process_resident_memory_bytes ")).unwrap();
    line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() / 1e6
}

#[test]
fn a_flooded_console_costs_neither_memory_nor_anybodys_time() {
    let own = OwnLibvirt::start();
    let portal = over(&own, 300);
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    let before = resident_mb(&portal);
    portal.inside("web1", "yes 'a flood of words' >/dev/ttyS0 2>/dev/null </dev/null &").expect(0);
    for (what, views) in [("nobody looks", 0), ("somebody looks", 1), ("somebody looks and does not read", 2)]
    {
        let mut viewers: Vec<Child> = (0..views.min(1)).map(|_| viewer(&portal)).collect();
        if let Some(viewer) = viewers.first_mut().filter(|_| views == 1) {
            // A megabyte of it.
            let mut seen = vec![0; 1 << 20];
            viewer.stdout.as_mut().unwrap().read_exact(&mut seen).unwrap();
            assert!(String::from_utf8_lossy(&seen).contains("a flood of words"), "{what}");
        }
        for _ in 0..10 {
            let began = Instant::now();
            portal.ssh(&["vm", "ls"]).expect(0);
            assert!(began.elapsed() < Duration::from_secs(8), "{what}: {:?}", began.elapsed());
        }
        assert!(portal.get("/readyz").0 == 200, "{what}");
        let now = resident_mb(&portal);
        assert!(now < before + 40.0, "{what}: {now} MB, {before} MB before");
        for mut viewer in viewers {
            viewer.stdin.take().unwrap().write_all(b"\x1d").unwrap();
            let _ = viewer.kill();
            let _ = viewer.wait();
        }
    }
    let folder = place::files(&portal.place.path("data/vms")).remove(0);
    let dir = portal.place.path("data/vms").join(folder);
    let logs = place::files(&dir).into_iter().filter(|f| f.starts_with("console.log"));
    let kept: u64 = logs.map(|f| std::fs::metadata(dir.join(f)).unwrap().len()).sum();
    assert!(kept < 16 << 20, "{kept} bytes of log are kept");
    portal.ssh(&["vm", "stop", "web1", "--force"]).expect(0);
}

#[test]
fn a_guest_that_fills_its_disk_can_be_entered_restarted_and_mended() {
    let own = OwnLibvirt::start();
    let portal = over(&own, 300);
    portal.ssh(&["vm", "new", "web1", "--cpu", "1", "--ram", "512", "--disk", "1"]).expect(0);
    // Most of it at once, the rest by writing.
    let fill =
        "i=0; while fallocate -l 50M /root/a$i 2>/dev/null; do i=$((i+1)); done; cat /dev/zero >/root/b";
    let told = portal.inside("web1", fill);
    assert!((told.stdout.clone() + &told.stderr).contains("No space left on device"), "{told:?}");
    assert_eq!(portal.vm("web1")["state"], "running");
    portal.ssh(&["vm", "restart", "web1"]).expect(0);
    let left = portal.inside("web1", "rm /root/a* /root/b; echo room >/root/c; cat /root/c").expect(0).stdout;
    assert_eq!(left, "room\n");
}
