//! The portal: the rules of the house, behind one door. Faces hold a
//! [`Principal`] and call [`Portal::perform`]; nothing else of theirs reaches
//! the store or a driver.

pub mod auth;
pub mod authorized_keys;
mod door;
pub mod entry;
mod events;
mod guard;
mod jobs;
pub mod keys;
mod limits;
pub(crate) mod machine;
mod monitor;
mod people;
mod principal;
mod ready;
mod reconcile;
mod rights;
pub mod seal;
mod sessions;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{broadcast, watch};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::driver::Driver;
use crate::error::Result;
use crate::image::Catalogue;
use crate::model::{Event, Outcome, Published, RoleName, Time, text};
use crate::store::{NewUser, Store};

pub(crate) use door::covers;
pub use door::{Action, Cx, Target};
pub use keys::PortalKeys;
pub use monitor::VmSample;
pub use principal::Principal;
pub use rights::Licence;
pub use sessions::{Pass, Session, Sessions, Visit};

/// Events that a follower may lag behind before it is told so.
const EVENT_BACKLOG: usize = 256;

/// The portal; clones share it.
#[derive(Clone)]
pub struct Portal {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    config: Config,
    data_dir: PathBuf,
    store: Store,
    driver: Arc<dyn Driver>,
    images: Catalogue,
    keys: PortalKeys,
    /// What secrets in the database are sealed with.
    ring: seal::Ring,
    wrong_codes: auth::WrongCodes,
    started: std::time::Instant,
    sessions: Sessions,
    jobs: jobs::Jobs,
    counters: Counters,
    strangers: events::StrangerBudget,
    alarms: events::StrangerBudget,
    /// Of wrong codes, by account.
    wrong_codes_told: events::StrangerBudget,
    registrations: auth::Registrations,
    events: broadcast::Sender<Arc<Event>>,
    /// Grows whenever a VM or a job changes.
    version: watch::Sender<u64>,
    /// Grows whenever somebody may do more or less than before.
    rights_version: watch::Sender<u64>,
    published: watch::Sender<Arc<Published>>,
    vm_samples: watch::Sender<Arc<HashMap<Uuid, VmSample>>>,
    hashing: auth::Hashing,
    gate: guard::Gate,
    /// What an unknown user's password is checked against.
    decoy_hash: String,
    listening: AtomicBool,
    /// Since when the driver's backend is away.
    driver_away: Mutex<Option<Time>>,
    startups: AtomicU64,
    /// Whether certificates may let somebody in.
    trusts_authorities: AtomicBool,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    connections_refused: AtomicU64,
    logins_succeeded: AtomicU64,
    logins_failed: AtomicU64,
    logins_held_off: AtomicU64,
    actions: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl Portal {
    /// Opens the portal over a store and a driver, and mends what a crash left.
    ///
    /// # Errors
    /// If the data directory, the keys or the database cannot be used.
    pub async fn open(config: Config, store: Store, driver: Arc<dyn Driver>) -> Result<Portal> {
        let data_dir = std::path::absolute(&config.data_dir)?;
        std::fs::create_dir_all(data_dir.join("vms"))?;
        let key_dir = config.host_key_dir.clone();
        let keys = tokio::task::spawn_blocking(move || PortalKeys::open(&key_dir)).await??;
        let ring = seal::Ring::open(&config.host_key_dir, &store).await?;
        let id: String = Uuid::new_v4().simple().to_string().chars().take(8).collect();
        let id = store.meta_or_insert("portal_id", id).await?;
        let decoy = auth::one_time_password();
        let hashing = auth::Hashing::start()?;
        let began = std::time::Instant::now();
        let decoy_hash = hashing.run(move || auth::hash_password(&decoy)).await??;
        let gate = guard::Gate::new(&config.guard, began.elapsed());
        let portal = Portal {
            inner: Arc::new(Inner {
                id,
                images: Catalogue::new(data_dir.join("images")),
                data_dir,
                store,
                driver,
                keys,
                ring,
                wrong_codes: auth::WrongCodes::default(),
                started: std::time::Instant::now(),
                sessions: Sessions::default(),
                jobs: jobs::Jobs::default(),
                counters: Counters::default(),
                strangers: events::StrangerBudget::default(),
                alarms: events::StrangerBudget::default(),
                wrong_codes_told: events::StrangerBudget::default(),
                registrations: auth::Registrations::default(),
                events: broadcast::channel(EVENT_BACKLOG).0,
                version: watch::channel(0).0,
                rights_version: watch::channel(0).0,
                published: watch::channel(Arc::default()).0,
                vm_samples: watch::channel(Arc::default()).0,
                hashing,
                gate,
                decoy_hash,
                listening: AtomicBool::new(false),
                driver_away: Mutex::default(),
                startups: AtomicU64::new(0),
                trusts_authorities: AtomicBool::new(false),
                config,
            }),
        };
        portal.recall_bans().await?;
        portal.recall_authorities().await?;
        portal.recover().await?;
        Ok(portal)
    }

    /// Starts what works in the background; it ends when the runtime does.
    pub fn start_background(&self) {
        tokio::spawn(self.clone().run_monitor());
        tokio::spawn(self.clone().follow_driver());
        tokio::spawn(self.clone().follow_expiries());
        let portal = self.clone();
        tokio::spawn(async move {
            if let Err(e) = portal.look_at_everything().await {
                tracing::warn!(error = %e, "the driver cannot be asked about its domains");
            }
            portal.prune_now_and_then().await;
        });
    }

    async fn prune_now_and_then(&self) {
        let mut hourly = tokio::time::interval(std::time::Duration::from_secs(3600));
        loop {
            hourly.tick().await;
            match self.store().events_prune(self.config().keep_events).await {
                Ok(0) => {}
                Ok(n) => tracing::info!(events = n, "old events pruned"),
                Err(e) => tracing::error!(error = %e, "old events could not be pruned"),
            }
            if let Err(e) = self.prune_bans().await {
                tracing::error!(error = %e, "old bans could not be pruned");
            }
        }
    }

    /// Makes the first administrator, if there is no account yet. Returns the
    /// one-time password if one was made.
    pub async fn ensure_admin(&self) -> Result<Option<Zeroizing<String>>> {
        if self.store().user_count().await? > 0 {
            return Ok(None);
        }
        let password = auth::one_time_password();
        let hash = self.hash(password.clone()).await?;
        let admin = NewUser {
            name: String::from("admin"),
            role: RoleName::ADMIN,
            password_hash: Some(hash),
            must_change_password: true,
            key: None,
        };
        self.store().user_insert(admin).await?;
        Ok(Some(password))
    }

    /// What tells this portal's domains from another's on the same host.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// What was configured.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The portal's own keys.
    pub fn keys(&self) -> &PortalKeys {
        &self.inner.keys
    }

    /// Who is signed in.
    pub fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// The latest published snapshot, and every one after it.
    pub fn published(&self) -> watch::Receiver<Arc<Published>> {
        self.inner.published.subscribe()
    }

    /// Wakes whenever a VM or a job changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// The VMs' latest figures.
    pub(crate) fn vm_samples(&self) -> watch::Receiver<Arc<HashMap<Uuid, VmSample>>> {
        self.inner.vm_samples.subscribe()
    }

    /// Every event from now on, as it is told: nearly in the order of their numbers.
    pub(crate) fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.events.subscribe()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.inner.driver
    }

    pub(crate) fn images(&self) -> &Catalogue {
        &self.inner.images
    }

    /// Says that somebody may do more or less than before: whoever follows
    /// something looks again whether he may.
    pub fn rights_changed(&self) {
        self.inner.rights_version.send_modify(|v| *v += 1);
        self.changed();
    }

    /// Wakes whenever somebody may do more or less than before.
    pub(crate) fn rights_changes(&self) -> watch::Receiver<u64> {
        self.inner.rights_version.subscribe()
    }

    /// How often somebody's rights have changed.
    fn rights_now(&self) -> u64 {
        *self.inner.rights_version.borrow()
    }

    fn changed(&self) {
        self.inner.version.send_modify(|v| *v += 1);
    }

    /// What somebody at a terminal is told when they have signed in, line by line:
    /// the message of the day, and their last login.
    pub fn greeting(&self, who: &Principal) -> Vec<String> {
        let mut lines: Vec<_> = self.config().ssh.motd.lines().map(text::clean).collect();
        if let Some(before) = who.session().before() {
            lines.push(format!("Last login: {} from {}.", before.at, text::short(&before.from, 45)));
        }
        lines
    }

    /// Says whether the SSH server accepts connections.
    pub fn set_listening(&self, yes: bool) {
        self.inner.listening.store(yes, Ordering::Relaxed);
    }

    /// Counts a connection, let in or turned away by a limit.
    pub fn count_connection(&self, refused: bool) {
        let c = &self.inner.counters;
        let counter = if refused { &c.connections_refused } else { &c.connections };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Publishes how many connections have not signed in yet.
    pub fn set_startups(&self, n: u64) {
        self.inner.startups.store(n, Ordering::Relaxed);
    }

    fn count_login(&self, succeeded: bool) {
        let c = &self.inner.counters;
        let counter = if succeeded { &c.logins_succeeded } else { &c.logins_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn count_held_off(&self) {
        self.inner.counters.logins_held_off.fetch_add(1, Ordering::Relaxed);
    }

    fn count_action(&self, name: &'static str, outcome: Outcome) {
        if let Ok(mut actions) = self.inner.counters.actions.lock() {
            *actions.entry((name, outcome.as_str())).or_default() += 1;
        }
    }
}
