//! A place to try a driver at: names and folders of its own, and everything
//! taken away in the end, however the test ends.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::broadcast;
use twarga::driver::libvirt::{AccelSetting, LibvirtConfig, LibvirtDriver};
use twarga::driver::mock::MockDriver;
use twarga::driver::{BootFiles, DomainSpec, DomainState, Driver, DriverEvent, Seed};
use uuid::Uuid;
use zeroize::Zeroizing;

/// What the contract allows between something happening and its event.
pub const SOON: Duration = Duration::from_secs(2);

/// What a guest may take to boot here, under TCG on a busy machine.
pub const BOOT: Duration = Duration::from_secs(90);

/// The line that the micro image ends its boot with.
pub const READY: &str = "twarga: ssh ready";

pub struct Bench {
    pub driver: Arc<dyn Driver>,
    pub prefix: String,
    pub root: tempfile::TempDir,
    boot: BootFiles,
    made: Mutex<Vec<(Uuid, PathBuf)>>,
}

impl Bench {
    pub fn mock() -> Self {
        Self::new(Arc::new(MockDriver::new()), nowhere())
    }

    /// libvirt's own test driver.
    pub fn test() -> Self {
        static DRIVER: OnceLock<Arc<LibvirtDriver>> = OnceLock::new();
        let driver = DRIVER.get_or_init(|| connect("test:///default"));
        Self::new(Arc::clone(driver) as Arc<dyn Driver>, nowhere())
    }

    /// Real VMs. Fails, never skips, where there can be none.
    pub fn qemu() -> Self {
        static DRIVER: OnceLock<Arc<LibvirtDriver>> = OnceLock::new();
        let driver = DRIVER.get_or_init(|| {
            let asked =
                std::process::Command::new("virsh").args(["-qc", "qemu:///system", "version"]).output();
            let answers = asked.is_ok_and(|out| out.status.success());
            assert!(answers, "libvirt does not answer at qemu:///system; run scripts/start-libvirt first");
            connect("qemu:///system")
        });
        Self::new(Arc::clone(driver) as Arc<dyn Driver>, micro())
    }

    pub fn new(driver: Arc<dyn Driver>, boot: BootFiles) -> Self {
        let root = tempfile::tempdir().unwrap();
        // QEMU's account must get through.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let prefix = format!("twt-{}-", Uuid::new_v4().simple());
        Bench { driver, prefix, root, boot, made: Mutex::default() }
    }

    /// A domain that is cleared away in the end.
    pub fn spec(&self, name: &str) -> DomainSpec {
        let uuid = Uuid::new_v4();
        let dir = self.root.path().join(uuid.to_string());
        self.made.lock().unwrap().push((uuid, dir.clone()));
        DomainSpec {
            uuid,
            name: format!("{}{name}", self.prefix),
            title: format!("{name} of the contract"),
            vcpus: 1,
            ram_mb: 128,
            disk_gb: 1,
            boot: self.boot.clone(),
            dir,
            seed: seed(name),
            ssh_port: free_port(),
            guest_agent: false,
        }
    }

    /// A domain, prepared and defined.
    pub async fn defined(&self, name: &str) -> DomainSpec {
        let spec = self.spec(name);
        self.driver.prepare(&spec).await.unwrap();
        self.driver.define(&spec).await.unwrap();
        spec
    }

    /// A domain that runs.
    pub async fn running(&self, name: &str) -> DomainSpec {
        let spec = self.defined(name).await;
        self.driver.start(spec.uuid).await.unwrap();
        spec
    }

    /// A domain whose guest is up, and its console with a shell that listens.
    pub async fn booted(&self, name: &str) -> (DomainSpec, Console) {
        let spec = self.running(name).await;
        let mut console = Console(self.driver.console(spec.uuid).await.unwrap());
        console.wait_for(READY, BOOT).await;
        console.shell().await;
        (spec, console)
    }

    pub async fn state(&self, spec: &DomainSpec) -> Option<DomainState> {
        self.driver.state(spec.uuid).await.unwrap()
    }
}

impl Drop for Bench {
    /// Not on the test's own runtime: that one may be unwinding.
    fn drop(&mut self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        let driver = Arc::clone(&self.driver);
        let clear = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for (uuid, dir) in made {
                    if let Err(error) = driver.undefine(uuid, &dir).await {
                        eprintln!("{uuid} could not be cleared away: {error}");
                    }
                }
            });
        };
        let _ = std::thread::spawn(clear).join();
    }
}

/// A console that is read as text.
pub struct Console(pub DuplexStream);

impl Console {
    /// Reads until `words` come; what came until then.
    pub async fn wait_for(&mut self, words: &str, limit: Duration) -> String {
        let mut seen = Vec::new();
        let read = async {
            let mut chunk = [0; 4096];
            loop {
                let n = self.0.read(&mut chunk).await.unwrap();
                seen.extend_from_slice(&chunk[..n]);
                if String::from_utf8_lossy(&seen).contains(words) || n == 0 {
                    return n != 0;
                }
            }
        };
        let found = tokio::time::timeout(limit, read).await;
        let text = String::from_utf8_lossy(&seen).into_owned();
        assert_eq!(found, Ok(true), "no {words:?} in {text:?}");
        text
    }

    /// Waits for a shell that listens: what is typed before it is there gets lost.
    pub async fn shell(&mut self) {
        for _ in 0..30 {
            self.0.write_all(b"\necho lis''tens\n").await.unwrap();
            let mut seen = Vec::new();
            let read = async {
                let mut chunk = [0; 4096];
                while !String::from_utf8_lossy(&seen).contains("listens") {
                    let n = self.0.read(&mut chunk).await.unwrap();
                    seen.extend_from_slice(&chunk[..n]);
                }
            };
            if tokio::time::timeout(Duration::from_secs(1), read).await.is_ok() {
                return;
            }
        }
        panic!("no shell on the console");
    }

    /// Has the shell run `command`.
    pub async fn run(&mut self, command: &str) {
        self.0.write_all(format!("\n{command}\n").as_bytes()).await.unwrap();
    }

    /// Reads to the end.
    pub async fn end(&mut self, limit: Duration) {
        let mut rest = Vec::new();
        tokio::time::timeout(limit, self.0.read_to_end(&mut rest)).await.expect("it does not end").unwrap();
    }
}

/// Waits until a domain is told to be in `state`; other events go by.
pub async fn sees(events: &mut broadcast::Receiver<DriverEvent>, wanted: DriverEvent, limit: Duration) {
    let look = async { while events.recv().await.unwrap() != wanted {} };
    assert!(tokio::time::timeout(limit, look).await.is_ok(), "no {wanted:?} within {limit:?}");
}

pub fn config(uri: &str) -> LibvirtConfig {
    LibvirtConfig {
        uri: uri.into(),
        accel: AccelSetting::Auto,
        // Kept from run to run: trying KVM may take 15 s.
        state_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver-contract"),
        qemu: None,
        allow_outbound: false,
    }
}

fn connect(uri: &str) -> Arc<LibvirtDriver> {
    Arc::new(LibvirtDriver::connect(config(uri)).unwrap())
}

/// The micro image: in `$TWARGA_IMAGES`, else where `make images` makes it.
pub fn micro() -> BootFiles {
    let images = std::env::var_os("TWARGA_IMAGES").map_or_else(|| "target/test/images".into(), PathBuf::from);
    let catalogue = twarga::image::Catalogue::new(std::path::absolute(images).unwrap());
    let image = catalogue.get("micro").unwrap_or_else(|e| panic!("{e} `make images` makes it."));
    catalogue.verified("micro", &image.digest).unwrap().1
}

fn nowhere() -> BootFiles {
    let file = |name| Path::new("/nonexistent").join(name);
    BootFiles {
        disk: file("disk"),
        kernel: file("kernel"),
        initrd: file("initrd"),
        kernel_args: "quiet".into(),
    }
}

fn seed(name: &str) -> Seed {
    let (private, public) = host_key();
    Seed {
        instance_id: format!("i-{name}"),
        hostname: "contract".into(),
        user: "root".into(),
        authorized_keys: vec![],
        host_key: Zeroizing::new(private),
        host_key_public: public,
        user_data: None,
    }
}

/// A host key for this run's guests.
fn host_key() -> (String, String) {
    static KEY: OnceLock<(String, String)> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let mut keygen = std::process::Command::new("ssh-keygen");
        let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "contract", "-f"]).arg(&path).status();
        assert!(made.unwrap().success(), "ssh-keygen failed");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        (read(&path), read(&path.with_extension("pub")).trim().to_owned())
    };
    KEY.get_or_init(make).clone()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
