//! Jobs: they end as they should, and one that fails or is cancelled at any
//! step leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::sync::Arc;

use common::{TestPortal, mock, until};
use twarga::action::catalogue::PlanLimits;
use twarga::action::job::{JobCancel, JobRetry, JobShow, JobWatch};
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
async fn orders_are_bounded_as_the_limits_say() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let limits = p.perform(admin, PlanLimits {}).await.unwrap();
    let (least, most) = (limits.least, limits.most);
    let tag = "x".repeat(limits.tag_characters);
    let fits = || VmNew { tags: vec![tag.clone(); limits.tags], ..vm_new("web") };
    let beyond = [
        (VmNew { ram: Some(least.ram_mb - 1), ..fits() }, Code::Usage),
        (VmNew { cpu: Some(0), ..fits() }, Code::Usage),
        (VmNew { ram: Some(most.ram_mb + 1), ..fits() }, Code::Quota),
        (VmNew { cpu: Some(most.vcpus + 1), ..fits() }, Code::Quota),
        (VmNew { disk: Some(most.disk_gb + 1), ..fits() }, Code::Quota),
        (VmNew { tags: vec![tag.clone(); limits.tags + 1], ..fits() }, Code::Usage),
        (VmNew { tags: vec![format!("{tag}x")], ..fits() }, Code::Usage),
        (VmNew { user_data: Some("x".repeat(limits.user_data_bytes + 1)), ..fits() }, Code::Usage),
    ];
    for (order, code) in beyond {
        let shown = format!("{:?} {:?} {:?}", order.ram, order.cpu, order.disk);
        assert_eq!(p.perform(admin, order).await.unwrap_err().code, code, "{shown}");
    }
    assert_eq!(driver.calls(Op::Prepare), 0);
    let user_data = Some("x".repeat(limits.user_data_bytes));
    let largest = VmNew {
        ram: Some(most.ram_mb),
        cpu: Some(most.vcpus),
        disk: Some(most.disk_gb),
        user_data,
        ..fits()
    };
    let job = p.perform(admin, largest).await.unwrap();
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded);
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

fn retry(id: i64) -> JobRetry {
    JobRetry { id, no_wait: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_failed_is_made_again_in_the_same_words() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let order = || {
        let mut order = vm_new("web");
        (order.ram, order.cpu, order.disk) = (Some(640), Some(2), Some(12));
        order.tags = vec![String::from("lab")];
        order
    };
    driver.fail_next(Op::Define, Error::new(Code::BackendUnavailable, "It is away."));
    let failed = p.perform(&alice, order()).await.unwrap();
    assert_eq!(finished(p, &alice, failed.id).await.state, JobState::Failed);
    let job = p.perform(&alice, retry(failed.id)).await.unwrap();
    assert_ne!(job.id, failed.id);
    assert_eq!((job.action.as_str(), job.target.as_str()), ("vm.new", "web.alice"));
    assert_eq!(finished(p, &alice, job.id).await.state, JobState::Succeeded);
    let vm = look(p, &alice, "web").await;
    assert_eq!((vm.ram_mb, vm.vcpus, vm.disk_gb, vm.tags), (640, 2, 12, vec![String::from("lab")]));
    // The first one stays as it ended, and there is nothing to do a third time.
    assert_eq!(p.perform(&alice, JobShow { id: failed.id }).await.unwrap().state, JobState::Failed);
    let e = refused(p, &alice, retry(failed.id)).await;
    assert_eq!((e.code, e.exit() as u8), (Code::Exists, 4));
    let e = refused(p, &alice, retry(job.id)).await;
    assert_eq!((e.code, e.exit() as u8), (Code::JobState, 4));
    // Both ways through the door are in the audit.
    let audit = database(&portal);
    let of = |action: &str| {
        count(
            &audit,
            &format!(
                "SELECT count(*) FROM events WHERE action = '{action}' AND outcome = 'success' AND actor = 'alice'"
            ),
        )
    };
    assert_eq!((of("job.retry"), of("vm.new")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_has_the_rights_of_who_asks_for_it_now() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let (alice, bob) = (portal.user("alice", "user").await, portal.user("bob", "user").await);
    make_vm(p, &alice, "web").await;
    driver.fail_next(Op::Undefine, Error::new(Code::BackendUnavailable, "It is away."));
    let stuck = change(p, &alice, destroy("web")).await.unwrap();
    assert_eq!(stuck.state, JobState::Failed);
    driver.fail_next(Op::Define, Error::new(Code::BackendUnavailable, "It is away."));
    let order = p.perform(&alice, vm_new("other")).await.unwrap();
    finished(p, &alice, order.id).await;
    // Another's job is not there for bob; an admin would own what alice ordered.
    assert_eq!(refused(p, &bob, retry(stuck.id)).await.code, Code::JobNotFound);
    assert_eq!(refused(p, admin, retry(order.id)).await.code, Code::Forbidden);
    // An account that was disabled since may do nothing.
    database(&portal).execute("UPDATE users SET enabled = 0 WHERE name = 'alice'", []).unwrap();
    assert_eq!(refused(p, &alice, retry(stuck.id)).await.code, Code::Forbidden);
    let job = p.perform(admin, retry(stuck.id)).await.unwrap();
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded);
    assert_nothing_left(&portal, &driver, "destroyed at the second try").await;
    // The VM is gone, and a new one of its name is another.
    let e = refused(p, admin, retry(stuck.id)).await;
    assert_eq!((e.code, e.exit() as u8), (Code::JobState, 4));
    database(&portal).execute("UPDATE users SET enabled = 1 WHERE name = 'alice'", []).unwrap();
    make_vm(p, &alice, "web").await;
    assert_eq!(refused(p, &alice, retry(stuck.id)).await.code, Code::JobState);
    assert_eq!(look(p, &alice, "web").await.state, VmState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_that_failed_can_be_tried_again() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let uuid = make_vm(p, admin, "web").await.uuid;
    let away = || Error::new(Code::BackendUnavailable, "It is away.");
    let again = async |op, first: twarga::model::Job, after: VmState| {
        assert_eq!(first.state, JobState::Failed, "{op:?}");
        let calls = driver.calls(op);
        let job = p.perform(admin, retry(first.id)).await.unwrap();
        assert_eq!(job.action, first.action);
        assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded, "{op:?}");
        assert_eq!(look(p, admin, "web").await.state, after, "{op:?}");
        assert!(driver.calls(op) > calls, "{op:?}: the flag is lost");
    };
    driver.fail_next(Op::Suspend, away());
    again(Op::Suspend, change(p, admin, pause("web")).await.unwrap(), VmState::Paused).await;
    driver.fail_next(Op::Resume, away());
    again(Op::Resume, change(p, admin, resume("web")).await.unwrap(), VmState::Running).await;
    driver.fail_next(Op::Reboot, away());
    again(Op::Reboot, change(p, admin, restart("web", true)).await.unwrap(), VmState::Running).await;
    driver.fail_next(Op::Shutdown, away());
    again(Op::Shutdown, change(p, admin, restart("web", false)).await.unwrap(), VmState::Running).await;
    // With `--force`, which the power switch shows.
    driver.fail_next(Op::PowerOff, away());
    let failed = change(p, admin, stop("web", true)).await.unwrap();
    again(Op::PowerOff, failed.clone(), VmState::Stopped).await;
    let e = refused(p, admin, retry(failed.id)).await;
    assert_eq!((e.code, e.exit() as u8), (Code::VmState, 4), "it is off already");
    driver.fail_next(Op::Start, away());
    again(Op::Start, change(p, admin, start("web")).await.unwrap(), VmState::Running).await;
    assert_eq!(driver.state(uuid).await.unwrap(), Some(DomainState::Running));
    // One that is at work is left alone.
    let mut gate = driver.hold(Op::Suspend);
    let job = p.perform(admin, pause("web")).await.unwrap().remove(0);
    gate.reached(1).await;
    let e = refused(p, admin, retry(job.id)).await;
    assert!(e.code == Code::JobState && e.hint.contains("job watch"), "{e}");
    gate.open();
    finished(p, admin, job.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_is_not_kept_for_another_try() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    driver.fail_next(Op::Define, Error::new(Code::BackendUnavailable, "It is away."));
    let mut order = vm_new("web");
    order.user_data = Some(String::from("#!/bin/sh\necho pas5phrase\n"));
    let job = p.perform(admin, order).await.unwrap();
    finished(p, admin, job.id).await;
    let e = refused(p, admin, retry(job.id)).await;
    assert!(e.code == Code::JobState && e.hint.contains("vm new web --user-data"), "{e}");
    let kept = "SELECT count(*) FROM jobs WHERE request LIKE '%pas5phrase%' OR error LIKE '%pas5phrase%'";
    assert_eq!(count(&database(&portal), kept), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_job_is_written_down_however_long_that_takes() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    make_vm(p, admin, "web").await;
    let mut gate = driver.hold(Op::Suspend);
    let job = p.perform(admin, pause("web")).await.unwrap().remove(0);
    gate.reached(1).await;
    let mut job = p.perform(admin, JobWatch { id: job.id }).await.unwrap();
    // Somebody holds the database for longer than the writer waits.
    let other = database(&portal);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    let told = tokio::time::timeout(common::PATIENCE, job.wait_for(|j| j.state.is_final())).await;
    let told = told.expect("whoever waits is not told").unwrap().clone();
    assert_eq!(told.error.unwrap().code, "database.unavailable");
    other.execute_batch("ROLLBACK").unwrap();
    until("its end is written down", async || {
        count(&database(&portal), "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") == 0
    })
    .await;
    // The VM is free again, without a restart and without a long wait.
    until("its state is known", async || look(p, admin, "web").await.state == VmState::Paused).await;
    assert_eq!(change(p, admin, resume("web")).await.unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_machine_just_got_is_left_to_it() {
    let driver = Arc::new(MockDriver::new());
    let narrow = |c: &mut twarga::config::Config| c.driver.libvirt.ports = (29_970, 29_975);
    let portal = TestPortal::start(Arc::clone(&driver) as Arc<dyn Driver>, narrow).await;
    portal.install_fake_image();
    let (p, admin) = (&portal.portal, &portal.admin);
    make_vm(p, admin, "web").await;
    change(p, admin, stop("web", true)).await.unwrap();
    let first = take_its_port(&portal, &driver, "web").await;
    // All but one of the others seem free, and turn out to be another's.
    let only = if first == 29_975 { 29_974 } else { 29_975 };
    let db = database(&portal);
    db.execute_batch(&format!(
        "CREATE TABLE rival (ssh_port INTEGER UNIQUE);
         INSERT INTO rival VALUES (1);
         CREATE TRIGGER rivals BEFORE UPDATE OF ssh_port ON vms WHEN NEW.ssh_port <> {only}
         BEGIN INSERT INTO rival VALUES (1); END;"
    ))
    .unwrap();
    let job = change(p, admin, start("web")).await.unwrap();
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    assert_eq!(look(p, admin, "web").await.ssh_port, Some(only));
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
