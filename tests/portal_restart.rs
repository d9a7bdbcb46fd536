//! What happens to machines behind the portal's back, and a portal that is
//! killed in the middle of its work and started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{TestPortal, mock, until};
use tempfile::TempDir;
use twarga::action::enter::VmConsole;
use twarga::action::event::EventLs;
use twarga::action::job::{JobRetry, JobShow};
use twarga::action::vm::*;
use twarga::driver::mock::{MockDriver, Op};
use twarga::driver::{Capabilities, DomainState, Driver};
use twarga::error::Code;
use twarga::model::{JobState, VmState};
use work::*;

fn start(name: &str) -> VmStart {
    VmStart { names: vms(&[name]), no_wait: false }
}

fn stop(name: &str) -> VmStop {
    VmStop { names: vms(&[name]), force: true, no_wait: false }
}

fn destroy(name: &str) -> VmDestroy {
    VmDestroy { names: vms(&[name]), yes: true, no_wait: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_guest_is_seen_at_once() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    let since = Instant::now();
    driver.set_state(uuid, DomainState::Stopped);
    until("it is stopped", async || look(p, admin, "web").await.state == VmState::Stopped).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    change(p, admin, start("web")).await.unwrap();
    driver.set_state(uuid, DomainState::Crashed);
    until("it is in error", async || look(p, admin, "web").await.state == VmState::Error).await;
    assert!(look(p, admin, "web").await.fault.unwrap().contains("crashed"));
    assert_eq!(change(p, admin, start("web")).await.unwrap().state, JobState::Succeeded);
    let vm = look(p, admin, "web").await;
    assert_eq!((vm.state, vm.fault), (VmState::Running, None));
    driver.set_state(uuid, DomainState::Paused);
    until("it is paused", async || look(p, admin, "web").await.state == VmState::Paused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_vanished_is_an_error_and_start_makes_it_again() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    driver.forget(uuid);
    until("it is in error", async || look(p, admin, "web").await.state == VmState::Error).await;
    assert!(look(p, admin, "web").await.fault.unwrap().contains("vm start"));
    assert_eq!(change(p, admin, start("web")).await.unwrap().state, JobState::Succeeded);
    assert_eq!(look(p, admin, "web").await.state, VmState::Running);
    assert_eq!(driver.state(uuid).await.unwrap(), Some(DomainState::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_away_is_told_as_that_and_caught_up_with() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    make_vm(p, admin, "unwanted").await;
    driver.set_online(false);
    let away = |job: twarga::model::Job| {
        let error = job.error.expect("the job failed").to_error();
        assert_eq!(
            (job.state, error.code, error.exit() as u8),
            (JobState::Failed, Code::BackendUnavailable, 7)
        );
    };
    away(change(p, admin, stop("web")).await.unwrap());
    away(change(p, admin, destroy("unwanted")).await.unwrap());
    assert_eq!(refused(p, admin, VmConsole { name: vm("web") }).await.code, Code::BackendUnavailable);
    assert_eq!(look(p, admin, "web").await.state, VmState::Running, "nothing was done to it");
    // What cannot be begun leaves no row behind.
    assert_eq!(refused(p, admin, vm_new("half")).await.code, Code::BackendUnavailable);
    assert_eq!(outcome(p, admin, VmShow { name: vm("half") }).await, "vm.not_found");
    // Its domain stops while nobody looks.
    driver.set_state(uuid, DomainState::Stopped);
    driver.set_online(true);
    until("it is caught up with", async || look(p, admin, "web").await.state == VmState::Stopped).await;
    // A destroy that failed is not carried out behind anybody's back.
    assert_eq!(look(p, admin, "unwanted").await.state, VmState::Running);
    assert_eq!(change(p, admin, destroy("unwanted")).await.unwrap().state, JobState::Succeeded);
    assert_eq!(change(p, admin, destroy("web")).await.unwrap().state, JobState::Succeeded);
    assert_nothing_left(&portal, &driver, "after the outage").await;
    let filter = EventLs {
        since: None,
        severity: None,
        actor: None,
        action: Some("driver.*".into()),
        attempts: false,
        limit: 9,
    };
    // Gone, and back.
    assert_eq!(p.perform(admin, filter).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_machine_that_was_switched_off_stays_off() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let crashed = make_vm(p, admin, "web").await.uuid;
    let other = make_vm(p, admin, "other").await.uuid;
    driver.set_state(crashed, DomainState::Crashed);
    until("it is in error", async || look(p, admin, "web").await.state == VmState::Error).await;
    change(p, admin, stop("web")).await.unwrap();
    // Everything is looked at afresh.
    driver.set_online(false);
    driver.set_state(other, DomainState::Paused);
    driver.set_online(true);
    until("the other is seen", async || look(p, admin, "other").await.state == VmState::Paused).await;
    // A second look begins when the first is over.
    driver.set_online(false);
    driver.set_state(other, DomainState::Running);
    driver.set_online(true);
    until("the other is seen again", async || look(p, admin, "other").await.state == VmState::Running).await;
    assert_eq!(look(p, admin, "web").await.state, VmState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_goes_away_in_the_middle_of_an_order_leaves_nothing_for_good() {
    for op in [Op::Prepare, Op::Define, Op::Start] {
        let (portal, driver) = mock().await;
        let (p, admin) = (&portal.portal, &portal.admin);
        let mut gate = driver.hold(op);
        let job = p.perform(admin, vm_new("web")).await.unwrap();
        gate.reached(1).await;
        driver.set_online(false);
        gate.open();
        let job = finished(p, admin, job.id).await;
        assert_eq!(job.error.unwrap().code, "backend.unavailable", "{op:?}");
        driver.set_online(true);
        until("the half-made machine is gone", async || {
            count(&database(&portal), "SELECT count(*) FROM vms") == 0
        })
        .await;
        assert_nothing_left(&portal, &driver, &format!("offline in {op:?}")).await;
    }
}

/// A portal that is killed while its driver is at a gate, and what it leaves.
struct Killed {
    dir: TempDir,
    driver: Arc<MockDriver>,
}

/// Runs a portal until `work` returns, then kills it: nothing of it runs on.
fn kill<T>(work: impl AsyncFnOnce(&TestPortal, &Arc<MockDriver>) -> T) -> (Killed, T) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut portal, driver, value) = runtime.block_on(async {
        let (portal, driver) = mock().await;
        let value = work(&portal, &driver).await;
        (portal, driver, value)
    });
    runtime.shutdown_timeout(Duration::from_secs(20));
    let dir = std::mem::replace(&mut portal.dir, tempfile::tempdir().unwrap());
    (Killed { dir, driver }, value)
}

impl Killed {
    /// The next portal, in a runtime of its own.
    fn again(self, check: impl AsyncFnOnce(&TestPortal, &Arc<MockDriver>)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let driver = Arc::clone(&self.driver) as Arc<dyn Driver>;
            let portal = TestPortal::start_in(self.dir, driver, |_| {}).await;
            check(&portal, &self.driver).await;
        });
    }
}

/// The job's state at the next start, where nobody works on it any more.
async fn assert_interrupted(portal: &TestPortal, id: i64) {
    let job = portal.portal.perform(&portal.admin, JobShow { id }).await.unwrap();
    assert_eq!(job.state, JobState::Interrupted, "{job:?}");
    assert!(job.finished_at.is_some());
    let error = job.error.expect("why");
    assert_eq!(error.code, "job.interrupted");
    assert!(error.hint.contains(&format!("`job retry {id}`")), "{error:?}");
    let sql = "SELECT count(*) FROM events WHERE action = 'job.interrupted'";
    assert_eq!(count(&database(portal), sql), 1);
}

#[test]
fn a_portal_killed_while_it_makes_a_machine_leaves_nothing_of_it() {
    for op in [Op::Prepare, Op::Define, Op::Start] {
        let (killed, (job, gate)) = kill(async |portal, driver| {
            let mut gate = driver.hold(op);
            let job = portal.portal.perform(&portal.admin, vm_new("web")).await.unwrap();
            gate.reached(1).await;
            (job.id, gate)
        });
        gate.open();
        killed.again(async |portal, driver| {
            assert_interrupted(portal, job).await;
            assert_nothing_left(portal, driver, &format!("killed in {op:?}")).await;
            let again = JobRetry { id: job, no_wait: true };
            let again = portal.portal.perform(&portal.admin, again).await.unwrap();
            let again = finished(&portal.portal, &portal.admin, again.id).await;
            assert_eq!(again.state, JobState::Succeeded);
            assert_eq!(look(&portal.portal, &portal.admin, "web").await.state, VmState::Running);
        });
    }
}

#[test]
fn a_portal_killed_while_a_machine_boots_takes_it_on() {
    let (killed, job) = kill(async |portal, driver| {
        driver.set_capabilities(Capabilities { pause: true, console: true, boots: true });
        let job = portal.portal.perform(&portal.admin, vm_new("web")).await.unwrap();
        until("it runs", async || look(&portal.portal, &portal.admin, "web").await.state == VmState::Running)
            .await;
        job.id
    });
    killed.again(async |portal, driver| {
        assert_interrupted(portal, job).await;
        let vm = look(&portal.portal, &portal.admin, "web").await;
        assert_eq!(vm.state, VmState::Running);
        assert_eq!((driver.calls(Op::Start), driver.calls(Op::Undefine)), (1, 0));
    });
}

#[test]
fn a_portal_killed_between_the_start_and_its_row_takes_the_machine_on() {
    let (killed, ()) = kill(async |portal, _driver| {
        make_vm(&portal.portal, &portal.admin, "web").await;
    });
    let db = database_in(killed.dir.path());
    db.execute_batch(
        "UPDATE vms SET state = 'pending'; UPDATE jobs SET state = 'running', finished_at = NULL",
    )
    .unwrap();
    killed.again(async |portal, driver| {
        assert_eq!(look(&portal.portal, &portal.admin, "web").await.state, VmState::Running);
        assert_eq!(driver.calls(Op::Undefine), 0);
    });
}

#[test]
fn a_portal_killed_while_it_destroys_a_machine_finishes_that() {
    let (killed, (job, gate)) = kill(async |portal, driver| {
        make_vm(&portal.portal, &portal.admin, "web").await;
        let mut gate = driver.hold(Op::Undefine);
        let job = portal.portal.perform(&portal.admin, destroy("web")).await.unwrap().remove(0);
        gate.reached(1).await;
        (job.id, gate)
    });
    gate.open();
    killed.again(async |portal, driver| {
        assert_interrupted(portal, job).await;
        assert_nothing_left(portal, driver, "killed while it destroyed").await;
    });
}

#[test]
fn half_made_machines_are_undone_when_the_backend_comes_back_after_a_restart() {
    for op in [Op::Prepare, Op::Define, Op::Start] {
        let (killed, gate) = kill(async |portal, driver| {
            let mut gate = driver.hold(op);
            portal.portal.perform(&portal.admin, vm_new("web")).await.unwrap();
            gate.reached(1).await;
            gate
        });
        gate.open();
        killed.driver.set_online(false);
        killed.again(async |portal, driver| {
            assert_eq!(look(&portal.portal, &portal.admin, "web").await.state, VmState::Pending);
            driver.set_online(true);
            until("it is gone", async || count(&database(portal), "SELECT count(*) FROM vms") == 0).await;
            assert_nothing_left(portal, driver, &format!("killed in {op:?}, backend away")).await;
        });
    }
}

#[test]
fn a_restart_leaves_running_machines_alone_and_sees_what_happened_meanwhile() {
    let (killed, uuid) = kill(async |portal, _driver| {
        make_vm(&portal.portal, &portal.admin, "runs").await;
        make_vm(&portal.portal, &portal.admin, "stops").await.uuid
    });
    killed.driver.set_state(uuid, DomainState::Stopped);
    killed.again(async |portal, driver| {
        let (p, admin) = (&portal.portal, &portal.admin);
        until("it is stopped", async || look(p, admin, "stops").await.state == VmState::Stopped).await;
        assert_eq!(look(p, admin, "runs").await.state, VmState::Running);
        assert_eq!((driver.calls(Op::Start), driver.calls(Op::Undefine)), (2, 0));
        assert_eq!(change(p, admin, stop("runs")).await.unwrap().state, JobState::Succeeded);
    });
}

#[test]
fn orphans_of_this_portal_are_removed_and_those_of_others_never_touched() {
    let (killed, ()) = kill(async |portal, driver| {
        let made = make_vm(&portal.portal, &portal.admin, "web").await;
        let ours = driver.spec(made.uuid).unwrap();
        let id: String = database(portal)
            .query_row("SELECT value FROM meta WHERE key = 'portal_id'", [], |r| r.get(0))
            .unwrap();
        assert!(ours.name.starts_with(&format!("twarga-{id}-")));
        for (i, name) in [format!("twarga-{id}-99-lost"), "twarga-ffffffff-1-web".into(), "windows".into()]
            .iter()
            .enumerate()
        {
            let mut spec = ours.clone();
            spec.uuid = twarga_uuid(i);
            spec.name.clone_from(name);
            spec.dir = spec.dir.with_file_name(format!("orphan-{i}"));
            driver.prepare(&spec).await.unwrap();
            driver.define(&spec).await.unwrap();
        }
    });
    killed.again(async |portal, driver| {
        until("the orphan is gone", async || !domains(driver).await.iter().any(|n| n.ends_with("-99-lost")))
            .await;
        let left = domains(driver).await;
        assert!(left.contains("windows") && left.contains("twarga-ffffffff-1-web"), "{left:?}");
        assert_eq!(left.len(), 3, "{left:?}");
        assert_eq!(driver.calls(Op::Undefine), 1);
        let sql = "SELECT count(*) FROM events WHERE action = 'domain.orphan'";
        until("it is written down", async || count(&database(portal), sql) == 1).await;
        assert_eq!(look(&portal.portal, &portal.admin, "web").await.state, VmState::Running);
    });
}

#[test]
fn a_folder_that_no_row_tells_of_is_set_aside_with_all_that_is_in_it() {
    let (killed, uuid) =
        kill(async |portal, _| make_vm(&portal.portal, &portal.admin, "web").await.uuid.to_string());
    let data = killed.dir.path().join("data");
    let lost = uuid::Uuid::from_u128(0x77).to_string();
    for name in [lost.as_str(), &uuid, "notes"] {
        std::fs::create_dir_all(data.join("vms").join(name)).unwrap();
        std::fs::write(data.join("vms").join(name).join("disk"), "precious").unwrap();
    }
    killed.again(async |portal, _| {
        until("it is set aside", async || data.join("orphans").join(&lost).join("disk").exists()).await;
        assert!(!data.join("vms").join(&lost).exists());
        assert!(data.join("vms").join(&uuid).exists() && data.join("vms/notes").exists());
        let sql = "SELECT count(*) FROM events WHERE action = 'folder.orphan'";
        until("it is written down", async || count(&database(portal), sql) == 1).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_stops_in_good_order_starts_again_as_it_was() {
    let (portal, driver) = mock().await;
    make_vm(&portal.portal, &portal.admin, "web").await;
    let dir = portal.stop().await;
    let portal = TestPortal::start_in(dir, Arc::clone(&driver) as Arc<dyn Driver>, |_| {}).await;
    let vm = look(&portal.portal, &portal.admin, "web").await;
    assert_eq!(vm.state, VmState::Running);
    assert_eq!(count(&database(&portal), "SELECT count(*) FROM jobs WHERE state <> 'succeeded'"), 0);
    assert_eq!(
        change(&portal.portal, &portal.admin, destroy("web")).await.unwrap().state,
        JobState::Succeeded
    );
}

fn twarga_uuid(i: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x1234 + i as u128)
}
