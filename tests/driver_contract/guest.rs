//! What only a guest that really boots can show.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use twarga::driver::libvirt::{AccelSetting, LibvirtDriver};
use twarga::driver::{DomainSpec, DomainState, Driver, DriverEvent};
use twarga::error::Code;

use super::bench::{BOOT, Bench, Console, READY, SOON, config, micro, sees};

/// What a shell in the guest may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_console_goes_both_ways_and_ends_with_the_domain() {
    let bench = Bench::qemu();
    let (spec, mut console) = bench.booted("console").await;
    console.run("echo answer $((6 * 7))").await;
    console.wait_for("answer 42", ANSWER).await;
    bench.driver.power_off(spec.uuid).await.unwrap();
    console.end(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_console_takes_over_from_the_first() {
    let bench = Bench::qemu();
    let (spec, mut first) = bench.booted("takeover").await;
    let mut second = Console(bench.driver.console(spec.uuid).await.unwrap());
    first.end(SOON).await;
    second.run("echo second $((6 * 7))").await;
    second.wait_for("second 42", ANSWER).await;
}

/// Opening ever more consoles and leaving them must not cost ever more sockets.
#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_nobody_reads_any_more_is_closed() {
    let bench = Bench::qemu();
    let (spec, first) = bench.booted("dropped").await;
    let inode = |fd: &str| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
    let sockets = || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let names = fds.filter_map(|e| e.ok()?.file_name().into_string().ok());
        names.filter_map(|fd| inode(&fd)).filter(|l| l.to_string_lossy().starts_with("socket:")).count()
    };
    drop(first);
    tokio::time::sleep(SOON).await;
    let before = sockets();
    for _ in 0..20 {
        drop(bench.driver.console(spec.uuid).await.unwrap());
    }
    tokio::time::sleep(SOON).await;
    // Other tests run beside this one and open a few.
    assert!(sockets() < before + 10, "{} sockets were {before}", sockets());
}

/// libvirt's client queues a stream without bound: a slow reader must not.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_a_loud_console_gets_the_latest() {
    let bench = Bench::qemu();
    let (_spec, mut console) = bench.booted("loud").await;
    // The buffers hold less than 400 KiB together.
    console.run("dd if=/dev/zero bs=1k count=600 2>/dev/null | tr '\\0' x; echo t''he end").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let text = console.wait_for("the end", BOOT).await;
    assert!(text.contains("skipped"), "{} bytes came", text.len());
    assert!(text.len() < 500_000, "{} bytes came", text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_itself_off_is_seen_soon() {
    let bench = Bench::qemu();
    let (spec, mut console) = bench.booted("poweroff").await;
    let mut events = bench.driver.events();
    let off = DriverEvent::State(spec.uuid, DomainState::Stopped);
    console.run("poweroff -f").await;
    let seen = tokio::spawn(async move {
        sees(&mut events, off, ANSWER).await;
        Instant::now()
    });
    console.end(ANSWER).await;
    // Off is off when the emulator is gone. That takes libvirt up to 2 s more where
    // the host's PID 1 is slow to bury the dead, as in some containers.
    while bench.state(&spec).await != Some(DomainState::Stopped) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let is_off = Instant::now();
    assert!(seen.await.unwrap().saturating_duration_since(is_off) < SOON);
    bench.driver.start(spec.uuid).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booted_guest_shuts_down_when_asked() {
    let bench = Bench::qemu();
    let (spec, _console) = bench.booted("asked").await;
    let began = Instant::now();
    assert!(bench.driver.shutdown(spec.uuid, Duration::from_secs(30)).await.unwrap());
    println!("shutdown: {:?}", began.elapsed());
    assert_eq!(bench.state(&spec).await, Some(DomainState::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_guest_shuts_down_when_asked() {
    let bench = Bench::qemu();
    let (spec, _console) = bench.booted("asked-paused").await;
    bench.driver.suspend(spec.uuid).await.unwrap();
    assert!(bench.driver.shutdown(spec.uuid, Duration::from_secs(30)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_that_dies_is_a_crash() {
    let bench = Bench::qemu();
    let spec = bench.running("dies").await;
    let mut events = bench.driver.events();
    let pid = std::fs::read_to_string(format!("/run/libvirt/qemu/{}.pid", spec.name)).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // libvirt's word for it waits for its other work: dozens of guests boot beside this one.
    sees(&mut events, DriverEvent::State(spec.uuid, DomainState::Crashed), SOON * 5).await;
    assert_eq!(bench.state(&spec).await, Some(DomainState::Crashed));
    bench.driver.start(spec.uuid).await.unwrap();
    assert_eq!(bench.state(&spec).await, Some(DomainState::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicked_guest_does_not_hang() {
    let bench = Bench::qemu();
    let (_spec, mut console) = bench.booted("panic").await;
    console.run("echo c >/proc/sysrq-trigger").await;
    // The image says panic=10: the kernel restarts by itself.
    console.wait_for(READY, BOOT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_boots_again() {
    let bench = Bench::qemu();
    let (spec, mut console) = bench.booted("reset").await;
    bench.driver.reboot(spec.uuid, true).await.unwrap();
    console.wait_for(READY, BOOT).await;
    console.shell().await;
    // The button is pressed once; what serves it may start after the shell.
    tokio::time::sleep(SOON).await;
    bench.driver.reboot(spec.uuid, false).await.unwrap();
    console.wait_for(READY, BOOT).await;
    assert_eq!(bench.state(&spec).await, Some(DomainState::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_a_conflict() {
    let bench = Bench::qemu();
    let spec = bench.spec("port");
    bench.driver.prepare(&spec).await.unwrap();
    bench.driver.define(&spec).await.unwrap();
    let squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, spec.ssh_port)).unwrap();
    assert_eq!(bench.driver.start(spec.uuid).await.unwrap_err().code, Code::Exists);
    assert_eq!(bench.state(&spec).await, Some(DomainState::Stopped));
    drop(squatter);
    bench.driver.start(spec.uuid).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_answers_on_the_forwarded_port_and_figures_grow() {
    let bench = Bench::qemu();
    let began = Instant::now();
    let spec = bench.defined("ssh").await;
    println!("prepare and define: {:?}", began.elapsed());
    let began = Instant::now();
    bench.driver.start(spec.uuid).await.unwrap();
    println!("start: {:?}", began.elapsed());
    let mut console = Console(bench.driver.console(spec.uuid).await.unwrap());
    console.wait_for(READY, BOOT).await;
    println!("ready after start: {:?}", began.elapsed());
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, spec.ssh_port)).await.unwrap();
    let mut banner = [0; 8];
    tokio::time::timeout(ANSWER, stream.read_exact(&mut banner)).await.unwrap().unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    let stats = bench.driver.stats(&bench.prefix).await.unwrap();
    println!("{stats:?}");
    let first = stats[0].1;
    assert!(first.cpu_time_ns > 100_000_000 && first.rss_bytes > 10 << 20, "{first:?}");
    assert!(first.disk_used_bytes > 0 && first.disk_read_bytes > 1 << 20, "{first:?}");
    assert_eq!(first.ram_bytes, 128 << 20);
    let later = bench.driver.stats(&bench.prefix).await.unwrap()[0].1;
    let grown = later.cpu_time_ns >= first.cpu_time_ns && later.disk_read_bytes >= first.disk_read_bytes;
    assert!(grown, "{first:?} then {later:?}");
    // Several may measure at once: nobody gets figures that drop.
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (driver, prefix) = (Arc::clone(&bench.driver), bench.prefix.clone());
        together.spawn(async move { driver.stats(&prefix).await.unwrap() });
    }
    let mut measured = 0;
    while let Some(stats) = together.join_next().await {
        // A domain that stays busy is left out, never told as nothing.
        for (_, stats) in stats.unwrap() {
            assert!(stats.disk_read_bytes >= later.disk_read_bytes, "{later:?} then {stats:?}");
            measured += 1;
        }
    }
    assert!(measured > 0, "twelve have measured, and nobody has got a figure");
}

/// A tenant's VM must not reach what the host serves on its own loopback.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_reach_the_hosts_loopback() {
    assert!(!reaches_loopback(Bench::qemu()).await, "the guest reached the host's loopback");
}

/// Why `allow_outbound` is off by default; and the test above looks right.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_may_go_out_reaches_the_hosts_loopback_too() {
    let mut config = config("qemu:///system");
    config.allow_outbound = true;
    let driver = LibvirtDriver::connect(config).unwrap();
    assert!(reaches_loopback(Bench::new(Arc::new(driver), micro())).await);
}

async fn reaches_loopback(bench: Bench) -> bool {
    let secret = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = secret.local_addr().unwrap().port();
    let visitor = tokio::spawn(async move { secret.accept().await.map(|_| ()) });
    let (_spec, mut console) = bench.booted("isolated").await;
    console.run("ip route add 127.9.9.9 via 10.0.2.2").await;
    console
        .run(&format!("for a in 10.0.2.2 10.0.2.3 127.9.9.9; do nc -w 3 $a {port} </dev/null; done"))
        .await;
    console.run("echo tri''ed").await;
    console.wait_for("tried", Duration::from_secs(40)).await;
    let reached = visitor.is_finished();
    visitor.abort();
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_an_agents_channel_starts() {
    let bench = Bench::qemu();
    let spec = DomainSpec { guest_agent: true, vcpus: 2, ..bench.spec("agent") };
    bench.driver.prepare(&spec).await.unwrap();
    bench.driver.define(&spec).await.unwrap();
    bench.driver.start(spec.uuid).await.unwrap();
    // No agent answers yet: asking must not hang.
    assert!(!bench.driver.shutdown(spec.uuid, Duration::from_millis(200)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_named_as_such() {
    let bench = Bench::qemu();
    let mut spec = bench.spec("imageless");
    spec.boot.initrd = "/nonexistent/initrd".into();
    assert_eq!(bench.driver.prepare(&spec).await.unwrap_err().code, Code::ImageInvalid);
    let broken = bench.root.path().join("broken.qcow2");
    std::fs::write(&broken, "no image at all").unwrap();
    let mut spec = bench.spec("broken");
    spec.boot.disk = broken;
    assert_eq!(bench.driver.prepare(&spec).await.unwrap_err().code, Code::ImageInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_qemus_way_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::qemu();
    let shut = bench.root.path().join("shut");
    std::fs::create_dir(&shut).unwrap();
    std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o700)).unwrap();
    let spec = bench.spec("unreachable");
    let spec = DomainSpec { dir: shut.join("vm"), ..spec };
    let error = bench.driver.prepare(&spec).await.unwrap_err();
    assert_eq!(error.code, Code::BackendUnavailable);
    assert!(error.message.contains(shut.to_str().unwrap()), "{error}");
}

/// The answer is found out once, and another driver remembers it.
#[tokio::test(flavor = "multi_thread")]
async fn the_accelerator_is_told_with_its_reason() {
    let bench = Bench::qemu();
    bench.defined("accel").await;
    let told = bench.driver.ping().await.unwrap();
    assert!(told.version.starts_with("libvirt ") && told.version.contains(", QEMU "), "{told:?}");
    let later = LibvirtDriver::connect(config("qemu:///system")).unwrap();
    assert_eq!(later.ping().await.unwrap(), told);
    let forced = LibvirtDriver::connect({
        let mut config = config("qemu:///system");
        config.accel = AccelSetting::Tcg;
        config
    });
    assert_eq!(forced.unwrap().ping().await.unwrap().accel, "tcg (set in the configuration)");
    println!("{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctors_questions_are_answered() {
    let images = micro();
    let data = images.disk.parent().unwrap();
    let checks = twarga::driver::libvirt::check_host(&config("qemu:///system"), data).await;
    for check in &checks {
        println!("{check:?}");
        assert_ne!(check.status, twarga::model::Status::Unhealthy, "{check:?}");
    }
    assert!(checks.len() >= 5);
    let dead = config("qemu+unix:///system?socket=/nonexistent/libvirt-sock");
    let checks = twarga::driver::libvirt::check_host(&dead, data).await;
    assert_eq!(checks[0].status, twarga::model::Status::Unhealthy);
    assert!(!checks[0].mend.is_empty());
}
