//! What the tests of the portal's inner layers share: actions without a face,
//! and the database seen from beside.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;

use twarga::action::job::{JobLs, JobWatch};
use twarga::action::vm::{ChangesVms, VmNew, VmShow};
use twarga::driver::Driver;
use twarga::driver::mock::MockDriver;
use twarga::error::{Error, Result};
use twarga::model::name::VmRef;
use twarga::model::{Job, JobState, Vm};
use twarga::portal::{Action, Portal, Principal};

use crate::common::{PATIENCE, TestPortal, until};

/// Another connection to the portal's database, as a thief or a crash would have it.
pub fn database(portal: &TestPortal) -> rusqlite::Connection {
    database_in(portal.dir.path())
}

/// The same by the directory of a portal that has stopped.
pub fn database_in(dir: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(dir.join("data/twarga.db")).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

/// One number from the database.
pub fn count(connection: &rusqlite::Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |r| r.get(0)).unwrap()
}

/// An order of a VM with nothing particular about it.
pub fn vm_new(name: &str) -> VmNew {
    VmNew {
        name: name.parse().unwrap(),
        image: None,
        plan: None,
        ram: None,
        cpu: None,
        disk: None,
        user_data: None,
        tags: Vec::new(),
        no_wait: false,
    }
}

/// The name of a VM.
pub fn vm(name: &str) -> VmRef {
    name.parse().unwrap()
}

/// Names of VMs.
pub fn vms(names: &[&str]) -> Vec<VmRef> {
    names.iter().map(|n| vm(n)).collect()
}

/// What became of an action: `done`, or the code of its error.
pub async fn outcome<A: Action>(portal: &Portal, who: &Principal, action: A) -> &'static str {
    match portal.perform(who, action).await {
        Ok(_) => "done",
        Err(e) => e.code.as_str(),
    }
}

/// The action's error.
pub async fn refused<A: Action>(portal: &Portal, who: &Principal, action: A) -> Error {
    match portal.perform(who, action).await {
        Ok(_) => panic!("{} was done", A::NAME),
        Err(e) => e,
    }
}

/// The job when it is over.
pub async fn finished(portal: &Portal, who: &Principal, id: i64) -> Job {
    let mut job = portal.perform(who, JobWatch { id }).await.unwrap();
    let over = tokio::time::timeout(PATIENCE, job.wait_for(|j| j.state.is_final()));
    over.await.expect("the job hangs").unwrap().clone()
}

/// Changes one VM and waits for the end of the job.
pub async fn change<A: ChangesVms>(portal: &Portal, who: &Principal, action: A) -> Result<Job> {
    let jobs = portal.perform(who, action).await?;
    Ok(finished(portal, who, jobs[0].id).await)
}

/// A VM of that name, running.
pub async fn make_vm(portal: &Portal, who: &Principal, name: &str) -> Vm {
    let job = portal.perform(who, vm_new(name)).await.unwrap();
    let job = finished(portal, who, job.id).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    portal.perform(who, VmShow { name: vm(name) }).await.unwrap()
}

/// The VM as it is now.
pub async fn look(portal: &Portal, who: &Principal, name: &str) -> Vm {
    portal.perform(who, VmShow { name: vm(name) }).await.unwrap()
}

/// Waits until no job is at work.
pub async fn quiet(portal: &Portal, admin: &Principal) {
    until("no job is at work", async || {
        let jobs = portal.perform(admin, JobLs { all: true, limit: 1000 }).await.unwrap();
        jobs.iter().all(|j| j.state.is_final())
    })
    .await;
}

/// Every domain that the driver has, by name.
pub async fn domains(driver: &MockDriver) -> BTreeSet<String> {
    driver.list("").await.unwrap().into_iter().map(|d| d.name).collect()
}

/// Neither row nor domain nor folder nor port is left of any VM.
pub async fn assert_nothing_left(portal: &TestPortal, driver: &MockDriver, when: &str) {
    assert_eq!(count(&database(portal), "SELECT count(*) FROM vms"), 0, "a row is left: {when}");
    assert!(domains(driver).await.is_empty(), "a domain is left: {when}");
    assert!(driver.folders().is_empty(), "a folder is left: {when}");
}
