//! Jobs: they end as they should, and one that fails or is cancelled at any
//! step leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::sync::Arc;

use common::{TestPortal, mock, until};
use twarga::action::job::{JobCancel, JobShow};
use twarga::action::vm::*;
use twarga::driver::mock::{MockDriver, Op};
use twarga::driver::{Capabilities, DomainState, Driver};
use twarga::error::{Code, Error};
use twarga::model::{JobState, VmState};
use work::*;

fn start(name: &str) -> VmStart {
    VmStart { names: vms(&[name]), no_wait: false }
}

fn stop(name: &str, force: bool) -> VmStop {
    VmStop { names: vms(&[name]), force, no_wait: false }
}

fn restart(name: &str, force: bool) -> VmRestart {
    VmRestart { names: vms(&[name]), force, no_wait: false }
}

fn pause(name: &str) -> VmPause {
    VmPause { names: vms(&[name]), no_wait: false }
}

fn resume(name: &str) -> VmResume {
    VmResume { names: vms(&[name]), no_wait: false }
}

fn destroy(name: &str) -> VmDestroy {
    VmDestroy { names: vms(&[name]), yes: true, no_wait: false }
}

/// A port that the driver finds taken, as long as it is the VM's.
async fn take_its_port(portal: &TestPortal, driver: &MockDriver, name: &str) -> u16 {
    let port = look(&portal.portal, &portal.admin, name).await.ssh_port.unwrap();
    driver.take_port(port);
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_becomes_a_running_machine_and_destroy_takes_all_of_it_away() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let vm = make_vm(p, admin, "web").await;
    assert_eq!((vm.state, vm.owner.as_str(), vm.image.as_str()), (VmState::Running, "admin", "micro"));
    let spec = driver.spec(vm.uuid).unwrap();
    assert_eq!(Some(spec.ssh_port), vm.ssh_port);
    assert_eq!(driver.state(vm.uuid).await.unwrap(), Some(DomainState::Running));
    assert!(spec.seed.authorized_keys[0].contains(&p.keys().client_line()));
    let job = change(p, admin, destroy("web")).await.unwrap();
    assert_eq!((job.state, job.percent), (JobState::Succeeded, 100));
    assert_nothing_left(&portal, &driver, "destroyed").await;
    // The name is free again.
    make_vm(p, admin, "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_fails_at_any_step_leaves_nothing_of_a_new_machine() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    for op in [Op::Prepare, Op::Define, Op::Start] {
        driver.fail_next(op, Error::new(Code::TimedOut, "It took too long."));
        let job = p.perform(admin, vm_new("web")).await.unwrap();
        let job = finished(p, admin, job.id).await;
        assert_eq!(job.state, JobState::Failed, "{op:?}");
        let error = job.error.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("timed_out", "It took too long."));
        assert!(job.finished_at.is_some());
        assert_nothing_left(&portal, &driver, &format!("failed in {op:?}")).await;
    }
    make_vm(p, admin, "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_at_any_step_leaves_nothing_of_a_new_machine() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    for op in [Op::Prepare, Op::Define, Op::Start] {
        let mut gate = driver.hold(op);
        let job = p.perform(admin, vm_new("web")).await.unwrap();
        gate.reached(1).await;
        p.perform(admin, JobCancel { id: job.id }).await.unwrap();
        gate.open();
        let job = finished(p, admin, job.id).await;
        assert_eq!(job.state, JobState::Cancelled, "{op:?}");
        assert_eq!(job.error.unwrap().code, "cancelled");
        assert_nothing_left(&portal, &driver, &format!("cancelled in {op:?}")).await;
    }
    let late = p.perform(admin, vm_new("web")).await.unwrap();
    finished(p, admin, late.id).await;
    assert_eq!(refused(p, admin, JobCancel { id: late.id }).await.code, Code::JobState);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_ssh_can_be_cancelled_too() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    driver.set_capabilities(Capabilities { pause: true, console: true, boots: true });
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    until("it waits for SSH", async || {
        p.perform(admin, JobShow { id: job.id }).await.unwrap().step == "waiting for SSH"
    })
    .await;
    p.perform(admin, JobCancel { id: job.id }).await.unwrap();
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Cancelled);
    assert_nothing_left(&portal, &driver, "cancelled while it booted").await;
    // A guest that goes off instead of answering is told as that, and stays to be looked at.
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    until("it runs", async || look(p, admin, "web").await.state == VmState::Running).await;
    driver.set_state(look(p, admin, "web").await.uuid, DomainState::Stopped);
    let job = finished(p, admin, job.id).await;
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "vm.state"));
    until("it is stopped", async || look(p, admin, "web").await.state == VmState::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_turn_can_be_cancelled() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let mut gate = driver.hold(Op::Prepare);
    let mut jobs = Vec::new();
    for i in 0..9 {
        jobs.push(p.perform(admin, vm_new(&format!("web{i}"))).await.unwrap().id);
    }
    gate.reached(8).await;
    let show = async |id| p.perform(admin, JobShow { id }).await.unwrap();
    let mut waiting = Vec::new();
    for id in &jobs {
        if show(*id).await.state == JobState::Queued {
            waiting.push(*id);
        }
    }
    assert_eq!(waiting.len(), 1, "eight work at once");
    p.perform(admin, JobCancel { id: waiting[0] }).await.unwrap();
    gate.open();
    for id in jobs {
        let job = finished(p, admin, id).await;
        let expected = if id == waiting[0] { JobState::Cancelled } else { JobState::Succeeded };
        assert_eq!(job.state, expected, "{job:?}");
    }
    assert_eq!(count(&database(&portal), "SELECT count(*) FROM vms"), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_at_a_time_changes_a_machine() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let mut making = driver.hold(Op::Start);
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    making.reached(1).await;
    let e = refused(p, admin, destroy("web")).await;
    assert_eq!((e.code, e.exit() as u8), (Code::VmBusy, 4));
    assert_eq!(refused(p, admin, start("web")).await.code, Code::VmState, "it is still being made");
    making.open();
    finished(p, admin, job.id).await;
    let mut stopping = driver.hold(Op::Shutdown);
    let job = p.perform(admin, stop("web", false)).await.unwrap().remove(0);
    stopping.reached(1).await;
    for e in [refused(p, admin, destroy("web")).await, refused(p, admin, pause("web")).await] {
        assert_eq!((e.code, e.exit() as u8), (Code::VmBusy, 4), "{e}");
    }
    make_vm(p, admin, "other").await;
    stopping.open();
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded);
    assert_eq!(look(p, admin, "web").await.state, VmState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_took_is_changed_for_another() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let mut gate = driver.hold(Op::Start);
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    gate.reached(1).await;
    let first = take_its_port(&portal, &driver, "web").await;
    gate.open();
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded);
    let vm = look(p, admin, "web").await;
    assert_ne!(vm.ssh_port, Some(first));
    assert_eq!(vm.ssh_port, driver.spec(vm.uuid).map(|s| s.ssh_port));
    change(p, admin, stop("web", true)).await.unwrap();
    let second = take_its_port(&portal, &driver, "web").await;
    assert_eq!(change(p, admin, start("web")).await.unwrap().state, JobState::Succeeded);
    let vm = look(p, admin, "web").await;
    assert!(![Some(first), Some(second)].contains(&vm.ssh_port));
    assert_eq!(vm.ssh_port, driver.spec(vm.uuid).map(|s| s.ssh_port));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_free_port_refuses_and_keeps_nothing() {
    let driver = Arc::new(MockDriver::new());
    let narrow = |c: &mut twarga::config::Config| c.driver.libvirt.ports = (29_990, 29_991);
    let portal = TestPortal::start(Arc::clone(&driver) as Arc<dyn Driver>, narrow).await;
    portal.install_fake_image();
    let (p, admin) = (&portal.portal, &portal.admin);
    for port in [29_990, 29_991] {
        driver.take_port(port);
    }
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    let job = finished(p, admin, job.id).await;
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "exists"));
    assert_nothing_left(&portal, &driver, "no port").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_orders_of_one_name_one_wins() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    for round in 0..5 {
        let name = format!("web{round}");
        let (a, b) = tokio::join!(p.perform(admin, vm_new(&name)), p.perform(admin, vm_new(&name)));
        let lost = a.as_ref().err().or(b.as_ref().err()).expect("one loses").clone();
        assert_eq!((lost.code, lost.exit() as u8), (Code::Exists, 4));
        let won = a.or(b).expect("one wins");
        assert_eq!(finished(p, admin, won.id).await.state, JobState::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_do_not_outrun_the_limit() {
    let driver = Arc::new(MockDriver::new());
    let portal = TestPortal::start(Arc::clone(&driver) as Arc<dyn Driver>, |c| c.max_vms_per_user = 2).await;
    portal.install_fake_image();
    let (p, admin) = (portal.portal.clone(), portal.admin.clone());
    let orders: Vec<_> = (0..12)
        .map(|i| {
            let (p, admin) = (p.clone(), admin.clone());
            tokio::spawn(async move { outcome(&p, &admin, vm_new(&format!("web{i}"))).await })
        })
        .collect();
    let mut got = Vec::new();
    for order in orders {
        got.push(order.await.unwrap());
    }
    assert_eq!(got.iter().filter(|o| **o == "done").count(), 2, "{got:?}");
    assert_eq!(got.iter().filter(|o| **o == "quota").count(), 10, "{got:?}");
    quiet(&p, &admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_admits_what_makes_sense_in_it() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    let put = async |state: DomainState, as_state: VmState| {
        driver.set_state(uuid, DomainState::Running);
        until("it runs", async || look(p, admin, "web").await.state == VmState::Running).await;
        driver.set_state(uuid, state);
        until("the state is noticed", async || look(p, admin, "web").await.state == as_state).await;
    };
    use {DomainState as D, VmState as V};
    let (no, yes) = (None, Some);
    // The state before, and what each verb makes of it.
    let table = [
        // start, stop, stop --force, restart, restart --force, pause, resume
        (
            D::Running,
            V::Running,
            [no, yes(V::Stopped), yes(V::Stopped), yes(V::Running), yes(V::Running), yes(V::Paused), no],
        ),
        (
            D::Paused,
            V::Paused,
            [no, yes(V::Stopped), yes(V::Stopped), yes(V::Running), yes(V::Running), no, yes(V::Running)],
        ),
        (D::Stopped, V::Stopped, [yes(V::Running), no, no, no, no, no, no]),
        (D::Crashed, V::Error, [yes(V::Running), no, yes(V::Stopped), no, no, no, no]),
    ];
    for (domain, state, outcomes) in table {
        for (verb, expected) in outcomes.into_iter().enumerate() {
            put(domain, state).await;
            let done = match verb {
                0 => change(p, admin, start("web")).await,
                1 => change(p, admin, stop("web", false)).await,
                2 => change(p, admin, stop("web", true)).await,
                3 => change(p, admin, restart("web", false)).await,
                4 => change(p, admin, restart("web", true)).await,
                5 => change(p, admin, pause("web")).await,
                _ => change(p, admin, resume("web")).await,
            };
            let now = look(p, admin, "web").await.state;
            match (done, expected) {
                (Ok(job), Some(after)) => {
                    assert_eq!(
                        (job.state, now),
                        (JobState::Succeeded, after),
                        "verb {verb} of {state}: {job:?}"
                    );
                    let really = driver.state(uuid).await.unwrap().unwrap();
                    assert!(
                        after != V::Running || really == D::Running,
                        "verb {verb} of {state}: {really:?}"
                    );
                }
                (Err(e), None) => {
                    assert_eq!((e.code, e.exit() as u8, now), (Code::VmState, 4, state), "verb {verb}");
                    assert!(!e.hint.is_empty(), "verb {verb} of {state} has no hint");
                }
                (got, wanted) => panic!("verb {verb} of {state}: {got:?}, not {wanted:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_in_error_can_be_destroyed() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    driver.forget(uuid);
    until("it is in error", async || look(p, admin, "web").await.state == VmState::Error).await;
    assert_eq!(change(p, admin, destroy("web")).await.unwrap().state, JobState::Succeeded);
    assert_nothing_left(&portal, &driver, "destroyed in error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_has_left_the_state_that_it_promised() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    make_vm(p, admin, "web").await;
    for round in 0..40 {
        change(p, admin, pause("web")).await.unwrap();
        assert_eq!(look(p, admin, "web").await.state, VmState::Paused, "round {round}");
        change(p, admin, resume("web")).await.unwrap();
        assert_eq!(look(p, admin, "web").await.state, VmState::Running, "round {round}");
        change(p, admin, restart("web", false)).await.unwrap();
        assert_eq!(look(p, admin, "web").await.state, VmState::Running, "round {round}");
    }
}
