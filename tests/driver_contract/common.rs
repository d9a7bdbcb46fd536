//! What every driver must do.

use std::os::unix::fs::PermissionsExt;

use twarga::driver::{DomainSpec, DomainState, DriverEvent};
use twarga::error::Code;
use uuid::Uuid;

use super::bench::{Bench, SOON, sees};

use DomainState::{Paused, Running, Stopped};

pub async fn everything_may_be_done_twice(bench: Bench) {
    let spec = bench.spec("twice");
    let driver = &bench.driver;
    for _ in 0..2 {
        driver.prepare(&spec).await.unwrap();
        driver.define(&spec).await.unwrap();
    }
    assert_eq!(bench.state(&spec).await, Some(Stopped));
    assert_eq!(driver.list(&bench.prefix).await.unwrap().len(), 1);
    for _ in 0..2 {
        driver.start(spec.uuid).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Running));
    }
    // A running domain may be defined anew; it runs on.
    driver.prepare(&spec).await.unwrap();
    driver.define(&spec).await.unwrap();
    assert_eq!(bench.state(&spec).await, Some(Running));
    for _ in 0..2 {
        driver.suspend(spec.uuid).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Paused));
    }
    for _ in 0..2 {
        driver.resume(spec.uuid).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Running));
    }
    for _ in 0..2 {
        driver.power_off(spec.uuid).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Stopped));
    }
    for _ in 0..2 {
        driver.undefine(spec.uuid, &spec.dir).await.unwrap();
        assert_eq!(bench.state(&spec).await, None);
        assert!(!spec.dir.exists());
    }
    assert_eq!(driver.list(&bench.prefix).await.unwrap(), []);
}

pub async fn undefining_switches_off(bench: Bench) {
    for pause in [false, true] {
        let spec = bench.running("gone").await;
        if pause {
            bench.driver.suspend(spec.uuid).await.unwrap();
        }
        bench.driver.undefine(spec.uuid, &spec.dir).await.unwrap();
        assert_eq!(bench.state(&spec).await, None);
        assert!(!spec.dir.exists());
    }
}

pub async fn unknown_domains_are_told_apart(bench: Bench) {
    let (driver, uuid) = (&bench.driver, Uuid::new_v4());
    let refused = [
        driver.start(uuid).await,
        driver.shutdown(uuid, SOON).await.map(|_| ()),
        driver.power_off(uuid).await,
        driver.reboot(uuid, false).await,
        driver.reboot(uuid, true).await,
        driver.suspend(uuid).await,
        driver.resume(uuid).await,
    ];
    for answer in refused {
        assert_eq!(answer.unwrap_err().code, Code::VmNotFound);
    }
    if driver.capabilities().console {
        assert_eq!(driver.console(uuid).await.unwrap_err().code, Code::VmNotFound);
    }
    assert_eq!(driver.state(uuid).await.unwrap(), None);
    driver.undefine(uuid, &bench.root.path().join("never")).await.unwrap();
}

pub async fn a_domain_that_is_off_says_so(bench: Bench) {
    let spec = bench.defined("off").await;
    let (driver, uuid) = (&bench.driver, spec.uuid);
    let refused = [
        driver.reboot(uuid, false).await,
        driver.reboot(uuid, true).await,
        driver.suspend(uuid).await,
        driver.resume(uuid).await,
    ];
    for answer in refused {
        assert_eq!(answer.unwrap_err().code, Code::VmNotRunning);
    }
    if driver.capabilities().console {
        assert_eq!(driver.console(uuid).await.unwrap_err().code, Code::VmNotRunning);
    }
    assert!(driver.shutdown(uuid, SOON).await.unwrap(), "it was off already");
    driver.power_off(uuid).await.unwrap();
    assert_eq!(driver.stats(&bench.prefix).await.unwrap(), []);
}

pub async fn a_paused_domain_is_not_started(bench: Bench) {
    let spec = bench.running("paused").await;
    bench.driver.suspend(spec.uuid).await.unwrap();
    assert_eq!(bench.driver.start(spec.uuid).await.unwrap_err().code, Code::VmState);
    assert_eq!(bench.state(&spec).await, Some(Paused));
    bench.driver.power_off(spec.uuid).await.unwrap();
    assert_eq!(bench.state(&spec).await, Some(Stopped));
}

pub async fn a_restarted_domain_runs(bench: Bench) {
    let spec = bench.running("restart").await;
    for force in [true, false] {
        bench.driver.reboot(spec.uuid, force).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Running));
        bench.driver.suspend(spec.uuid).await.unwrap();
        bench.driver.reboot(spec.uuid, force).await.unwrap();
        assert_eq!(bench.state(&spec).await, Some(Running));
    }
}

pub async fn events_come_soon(bench: Bench) {
    let mut events = bench.driver.events();
    let spec = bench.spec("events");
    let (driver, uuid) = (&bench.driver, spec.uuid);
    driver.prepare(&spec).await.unwrap();
    driver.define(&spec).await.unwrap();
    sees(&mut events, DriverEvent::State(uuid, Stopped), SOON).await;
    driver.start(uuid).await.unwrap();
    sees(&mut events, DriverEvent::State(uuid, Running), SOON).await;
    driver.suspend(uuid).await.unwrap();
    sees(&mut events, DriverEvent::State(uuid, Paused), SOON).await;
    driver.resume(uuid).await.unwrap();
    sees(&mut events, DriverEvent::State(uuid, Running), SOON).await;
    driver.power_off(uuid).await.unwrap();
    sees(&mut events, DriverEvent::State(uuid, Stopped), SOON).await;
    driver.undefine(uuid, &spec.dir).await.unwrap();
    sees(&mut events, DriverEvent::Undefined(uuid), SOON).await;
}

pub async fn lists_know_prefixes(bench: Bench) {
    let (a, b) = (bench.defined("a-1").await, bench.running("b-1").await);
    let driver = &bench.driver;
    let mut all = driver.list(&bench.prefix).await.unwrap();
    all.sort_by(|x, y| x.name.cmp(&y.name));
    let told: Vec<_> = all.iter().map(|d| (d.uuid, d.name.as_str(), d.state)).collect();
    assert_eq!(told, [(a.uuid, a.name.as_str(), Stopped), (b.uuid, b.name.as_str(), Running)]);
    assert_eq!(driver.list(&format!("{}a", bench.prefix)).await.unwrap().len(), 1);
    assert_eq!(driver.list(&format!("x{}", bench.prefix)).await.unwrap(), []);
    // Prefixes are no patterns.
    assert_eq!(driver.list(&format!("{}.", &bench.prefix[..3])).await.unwrap(), []);
}

pub async fn names_may_hold_anything_that_xml_minds(bench: Bench) {
    let mut spec = bench.spec("<&>\"']]>é");
    spec.title = "web1 of <b>\"alice\"</b> &amp; 'bob' ]]> \u{1}\nline two \u{1b}[31m ☃".into();
    bench.driver.prepare(&spec).await.unwrap();
    bench.driver.define(&spec).await.unwrap();
    let list = bench.driver.list(&bench.prefix).await.unwrap();
    assert_eq!(list.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), [spec.name.as_str()]);
}

pub async fn a_name_belongs_to_one_domain(bench: Bench) {
    let first = bench.defined("name").await;
    let second = bench.spec("name");
    bench.driver.prepare(&second).await.unwrap();
    assert_eq!(bench.driver.define(&second).await.unwrap_err().code, Code::Exists);
    assert_eq!(bench.state(&first).await, Some(Stopped));
    assert_eq!(bench.state(&second).await, None);
}

pub async fn defining_changes_and_renames(bench: Bench) {
    let spec = bench.defined("old").await;
    let changed = DomainSpec { name: format!("{}new", bench.prefix), ram_mb: 192, ..spec.clone() };
    bench.driver.define(&changed).await.unwrap();
    let list = bench.driver.list(&bench.prefix).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].uuid, list[0].name.as_str()), (spec.uuid, changed.name.as_str()));
    bench.driver.start(spec.uuid).await.unwrap();
    assert_eq!(bench.driver.define(&spec).await.unwrap_err().code, Code::VmState);
}

pub async fn running_domains_are_measured(bench: Bench) {
    let spec = bench.running("measured").await;
    let _off = bench.defined("unmeasured").await;
    let stats = bench.driver.stats(&bench.prefix).await.unwrap();
    assert_eq!(stats.len(), 1);
    assert_eq!(stats[0].0, spec.uuid);
    // libvirt's test driver lists its domains and measures nothing of them.
    let measures = bench.driver.capabilities().boots || bench.driver.name() != "libvirt";
    assert_eq!(stats[0].1.ram_bytes, if measures { 128 << 20 } else { 0 });
    assert_eq!(bench.driver.stats("no such prefix").await.unwrap(), []);
}

pub async fn a_shutdown_switches_off(bench: Bench) {
    let spec = bench.running("shutdown").await;
    // A guest that has not booted yet does not hear it.
    let by_itself = bench.driver.shutdown(spec.uuid, std::time::Duration::from_millis(100)).await.unwrap();
    assert_eq!(by_itself, !bench.driver.capabilities().boots);
    assert_eq!(bench.state(&spec).await, Some(Stopped));
}

pub async fn the_backend_tells_of_itself(bench: Bench) {
    let backend = bench.driver.ping().await.unwrap();
    assert!(!backend.version.is_empty() && !backend.accel.is_empty(), "{backend:?}");
}

pub async fn many_at_once(bench: Bench) {
    let bench = std::sync::Arc::new(bench);
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..8 {
        let bench = std::sync::Arc::clone(&bench);
        tasks.spawn(async move {
            let spec = bench.defined(&format!("many-{i}")).await;
            for _ in 0..4 {
                assert_eq!(bench.state(&spec).await, Some(Stopped));
                bench.driver.list(&bench.prefix).await.unwrap();
            }
            bench.driver.undefine(spec.uuid, &spec.dir).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(bench.driver.list(&bench.prefix).await.unwrap(), []);
}

/// For drivers that make folders for real.
pub async fn folders_are_made_and_minded(bench: Bench) {
    let spec = bench.spec("folder");
    bench.driver.prepare(&spec).await.unwrap();
    let mode = |name: &str| std::fs::metadata(spec.dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o711);
    if bench.driver.capabilities().boots {
        assert_eq!(mode("seed.img"), 0o600);
        // The guest's data survives whatever is prepared again.
        std::fs::write(spec.dir.join("disk.qcow2"), "data").unwrap();
        bench.driver.prepare(&spec).await.unwrap();
        assert_eq!(std::fs::read(spec.dir.join("disk.qcow2")).unwrap(), b"data");
    }
    // Somebody else's folder is neither used nor removed.
    let foreign = bench.root.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("precious"), "1").unwrap();
    let thief = DomainSpec { dir: foreign.clone(), ..bench.spec("thief") };
    assert_eq!(bench.driver.prepare(&thief).await.unwrap_err().code, Code::Exists);
    assert_eq!(bench.driver.undefine(thief.uuid, &foreign).await.unwrap_err().code, Code::Exists);
    assert_eq!(bench.driver.undefine(thief.uuid, &spec.dir).await.unwrap_err().code, Code::Exists);
    assert!(foreign.join("precious").exists() && spec.dir.exists());
}
