//! Machines.

use rusqlite::{OptionalExtension, Row};
use uuid::Uuid;

use super::groups::SHARED_WITH_1;
use super::{JobDraft, Store, is_duplicate, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::job::JobRequest;
use crate::model::{Job, Reach, Size, Time, Vm, VmState};

/// Selects in the order that [`vm`] reads.
const VM: &str = "SELECT v.id, v.name, u.name, v.owner_id, v.state, v.image, v.plan, v.vcpus, v.ram_mb, v.disk_gb,
    v.driver, v.node, v.ip, v.ssh_port, v.ssh_user, v.created_at, v.started_at, v.credits_per_hour, v.tags, v.fault,
    v.host_key, v.uuid
    FROM vms v JOIN users u ON u.id = v.owner_id";

/// A machine to be written down before it is made.
#[derive(Debug, Clone)]
pub struct NewVm {
    /// Its identity at the driver.
    pub uuid: Uuid,
    /// Whose it is.
    pub owner_id: i64,
    /// Its name.
    pub name: String,
    /// What it is made from.
    pub image: String,
    /// Which build of that.
    pub image_digest: String,
    /// The plan's name, or `custom`.
    pub plan: String,
    /// How large.
    pub size: Size,
    /// Which driver.
    pub driver: &'static str,
    /// Which host.
    pub node: &'static str,
    /// Which port on the loopback leads to it.
    pub ssh_port: u16,
    /// Whom to sign in to it as.
    pub ssh_user: String,
    /// Public half of its host key.
    pub host_key: String,
    /// Private half, sealed.
    pub host_key_private: String,
    /// The owner's cloud-init text.
    pub user_data: Option<String>,
    /// Words of the owner's choice.
    pub tags: Vec<String>,
    /// Its price.
    pub credits_per_hour: f64,
}

/// What is needed to boot it, beyond what people see.
#[derive(Debug, Clone)]
pub struct BootRecord {
    /// The machine.
    pub vm: Vm,
    /// Which build of its image it was made from.
    pub image_digest: String,
    /// Private half of its host key, sealed.
    pub host_key_private: String,
    /// The owner's cloud-init text.
    pub user_data: Option<String>,
}

fn vm(r: &Row<'_>) -> rusqlite::Result<Vm> {
    let state: String = r.get(4)?;
    let state = VmState::parse(&state).ok_or_else(|| unknown_word(4, &state))?;
    let ssh_port: Option<u16> = r.get(13)?;
    let started_at: Option<i64> = r.get(16)?;
    let live = state == VmState::Running || state == VmState::Paused;
    let tags: String = r.get(18)?;
    let uuid: String = r.get(21)?;
    Ok(Vm {
        id: r.get(0)?,
        name: r.get(1)?,
        owner: r.get(2)?,
        owner_id: r.get(3)?,
        state,
        image: r.get(5)?,
        plan: r.get(6)?,
        vcpus: r.get(7)?,
        ram_mb: r.get(8)?,
        disk_gb: r.get(9)?,
        driver: r.get(10)?,
        node: r.get(11)?,
        ip: r.get(12)?,
        ssh_host: ssh_port.map(|_| String::from("127.0.0.1")),
        ssh_port,
        ssh_user: r.get(14)?,
        created_at: Time::from_millis(r.get(15)?),
        uptime_s: started_at.filter(|_| live).map(|t| Time::now().seconds_since(Time::from_millis(t))),
        credits_per_hour: r.get(17)?,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        fault: r.get(19)?,
        host_key: r.get(20)?,
        uuid: Uuid::parse_str(&uuid).map_err(|_| unknown_word(21, &uuid))?,
    })
}

fn insert(t: &rusqlite::Transaction<'_>, new: NewVm) -> Result<Vm> {
    let tags = serde_json::to_string(&new.tags).unwrap_or_else(|_| String::from("[]"));
    let sql = "INSERT INTO vms (uuid, owner_id, name, state, image, image_digest, plan, vcpus, ram_mb, disk_gb,
        driver, node, ssh_port, ssh_user, host_key, host_key_private, user_data, tags, credits_per_hour, created_at)
        VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let values = rusqlite::params![
        new.uuid.to_string(),
        new.owner_id,
        new.name,
        new.image,
        new.image_digest,
        new.plan,
        new.size.vcpus,
        new.size.ram_mb,
        new.size.disk_gb,
        new.driver,
        new.node,
        new.ssh_port,
        new.ssh_user,
        new.host_key,
        new.host_key_private,
        new.user_data,
        tags,
        new.credits_per_hour,
        Time::now().millis(),
    ];
    t.execute(sql, values).map_err(|e| duplicate_vm(e, &new.name))?;
    let id = t.last_insert_rowid();
    Ok(t.query_row(&format!("{VM} WHERE v.id = ?1"), [id], vm)?)
}

impl Store {
    /// Writes a machine down, `pending`, with the job that makes it: one is never
    /// there without the other.
    ///
    /// # Errors
    /// `quota` if its owner has `most` of them already, `exists` if one has that
    /// name, `vm.busy` if the port is another's.
    pub async fn vm_insert(
        &self,
        new: NewVm,
        action: &'static str,
        request: JobRequest,
        most: u32,
    ) -> Result<(Vm, Job)> {
        self.write(move |t| {
            let owned = "SELECT count(*) FROM vms WHERE owner_id = ?1";
            if t.query_row(owned, [new.owner_id], |r| r.get::<_, u32>(0))? >= most {
                return Err(Error::new(Code::Quota, format!("This account has its {most} VMs already.")));
            }
            let made = insert(t, new)?;
            let draft = JobDraft {
                action,
                target: made.full_name(),
                owner_id: made.owner_id,
                vm_id: Some(made.id),
                request,
            };
            let job = super::jobs::insert(t, &draft)?;
            Ok((made, job))
        })
        .await
    }

    /// The machine of that number.
    pub async fn vm(&self, id: i64) -> Result<Option<Vm>> {
        self.read(move |c| {
            Ok(c.prepare_cached(&format!("{VM} WHERE v.id = ?1"))?.query_row([id], vm).optional()?)
        })
        .await
    }

    /// The machine of that name and owner.
    pub async fn vm_by_name(&self, owner: String, name: String) -> Result<Option<Vm>> {
        self.read(move |c| {
            let sql = format!("{VM} WHERE u.name = ?1 AND v.name = ?2");
            Ok(c.prepare_cached(&sql)?.query_row((owner, name), vm).optional()?)
        })
        .await
    }

    /// The machine of that identity at the driver.
    pub async fn vm_by_uuid(&self, uuid: Uuid) -> Result<Option<Vm>> {
        self.read(move |c| {
            let sql = format!("{VM} WHERE v.uuid = ?1");
            Ok(c.prepare_cached(&sql)?.query_row([uuid.to_string()], vm).optional()?)
        })
        .await
    }

    /// The machines that are reached so, by name.
    pub async fn vms(&self, reach: Reach) -> Result<Vec<Vm>> {
        self.read(move |c| {
            let sql = format!(
                "{VM} WHERE ?1 IS NULL OR v.owner_id = ?1 OR (?2 AND v.id IN ({SHARED_WITH_1}))
                 ORDER BY v.name, u.name"
            );
            Ok(c.prepare_cached(&sql)?.query_map(reach.values(), vm)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// What is needed to boot the machine.
    pub async fn vm_boot_record(&self, id: i64) -> Result<Option<BootRecord>> {
        self.read(move |c| {
            let Some(vm) =
                c.prepare_cached(&format!("{VM} WHERE v.id = ?1"))?.query_row([id], vm).optional()?
            else {
                return Ok(None);
            };
            let sql = "SELECT image_digest, host_key_private, user_data FROM vms WHERE id = ?1";
            let record = c.query_row(sql, [id], |r| {
                Ok(BootRecord {
                    vm,
                    image_digest: r.get(0)?,
                    host_key_private: r.get(1)?,
                    user_data: r.get(2)?,
                })
            })?;
            Ok(Some(record))
        })
        .await
    }

    /// Marks the machine as being removed, which a restart goes on with; or not
    /// any more.
    pub async fn vm_set_doomed(&self, id: i64, doomed: bool) -> Result<()> {
        self.write(move |t| {
            t.execute("UPDATE vms SET doomed = ?2 WHERE id = ?1", (id, doomed))?;
            Ok(())
        })
        .await
    }

    /// Machines that are half made or half removed, and no job is at work on
    /// them; with whether they are being removed.
    pub async fn vms_unfinished(&self) -> Result<Vec<(Vm, bool)>> {
        self.read(|c| {
            let sql = format!(
                "{} WHERE (v.state = 'pending' OR v.doomed) AND NOT EXISTS
                 (SELECT 1 FROM jobs j WHERE j.vm_id = v.id AND j.state IN ('queued', 'running'))",
                VM.replacen("v.uuid\n", "v.uuid, v.doomed\n", 1)
            );
            let rows = c
                .prepare_cached(&sql)?
                .query_map([], |r| Ok((vm(r)?, r.get(22)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows)
        })
        .await
    }

    /// Whether a job is at work on the machine.
    pub async fn vm_is_busy(&self, id: i64) -> Result<bool> {
        self.read(move |c| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM jobs WHERE vm_id = ?1 AND state IN ('queued', 'running'))";
            Ok(c.prepare_cached(sql)?.query_row([id], |r| r.get(0))?)
        })
        .await
    }

    /// Sets the state; `fault` says why it is in error. A start is timed. What is
    /// being removed stays so.
    pub async fn vm_set_state(&self, id: i64, state: VmState, fault: Option<String>) -> Result<()> {
        self.write(move |t| {
            let sql = "UPDATE vms SET state = ?2, fault = ?3, started_at = CASE
                WHEN ?2 NOT IN ('running', 'paused') THEN NULL
                WHEN state IN ('running', 'paused') AND started_at IS NOT NULL THEN started_at
                ELSE ?4 END WHERE id = ?1 AND NOT doomed";
            t.execute(sql, (id, state.as_str(), fault, Time::now().millis()))?;
            Ok(())
        })
        .await
    }

    /// Gives the machine another port.
    ///
    /// # Errors
    /// `vm.busy` if the port is another's.
    pub async fn vm_set_port(&self, id: i64, port: u16) -> Result<()> {
        self.write(move |t| {
            t.execute("UPDATE vms SET ssh_port = ?2 WHERE id = ?1", (id, port))
                .map_err(|e| duplicate_vm(e, "port"))?;
            Ok(())
        })
        .await
    }

    /// The ports that are promised to machines of the node.
    pub async fn vm_ports(&self, node: &'static str) -> Result<Vec<u16>> {
        self.read(move |c| {
            let sql = "SELECT ssh_port FROM vms WHERE node = ?1 AND ssh_port IS NOT NULL";
            Ok(c.prepare_cached(sql)?.query_map([node], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Forgets the machine.
    pub async fn vm_delete(&self, uuid: Uuid) -> Result<()> {
        self.write(move |t| {
            t.execute("DELETE FROM vms WHERE uuid = ?1", [uuid.to_string()])?;
            Ok(())
        })
        .await
    }
}

fn duplicate_vm(e: rusqlite::Error, name: &str) -> Error {
    if !is_duplicate(&e) {
        return e.into();
    }
    if e.to_string().contains("ssh_port") {
        return Error::new(Code::VmBusy, "Its port was just given to another VM.").hint("Try again.");
    }
    Error::new(Code::Exists, format!("There is a VM called “{name}” already."))
}
