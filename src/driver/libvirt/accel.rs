//! Which accelerator the domains run under.
//!
//! A `/dev/kvm` that opens proves nothing: inside some virtual machines it is
//! there, makes a machine, and boots no kernel. So `auto` boots one, once, and
//! remembers how that went.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::AccelSetting;
use crate::driver::BootFiles;
use crate::error::Result;

const DEVICE: &str = "/dev/kvm";
const QEMU: &str = "qemu-system-x86_64";

/// How long a kernel may take to its init under KVM; a healthy host needs 1–2 s.
const PROBE_LIMIT: Duration = Duration::from_secs(15);

/// Signs that the kernel came up: our images' init says the first when it finds
/// `twarga.probe` on its command line; every Linux says the second.
const SIGNS: [&[u8]; 2] = [b"twarga-probe-ok", b"Run /init as init process"];

/// What runs a guest's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Accel {
    /// The host's own processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// A choice and why it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) accel: Accel,
    pub(super) why: &'static str,
    /// Nothing but a change of the host would change it.
    pub(super) settled: bool,
}

impl Choice {
    const fn new(accel: Accel, settled: bool, why: &'static str) -> Self {
        Choice { accel, why, settled }
    }

    /// Such as `tcg (no /dev/kvm)`.
    pub(super) fn sentence(self) -> String {
        let word = match self.accel {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        };
        format!("{word} ({})", self.why)
    }
}

const SET_KVM: Choice = Choice::new(Accel::Kvm, true, "set in the configuration");
const SET_TCG: Choice = Choice::new(Accel::Tcg, true, "set in the configuration");
const NO_DEVICE: Choice = Choice::new(Accel::Tcg, false, "no /dev/kvm");
pub(super) const NOT_OURS: Choice =
    Choice::new(Accel::Tcg, false, "the portal's account may not open /dev/kvm");
const NOT_YET: Choice = Choice::new(Accel::Tcg, false, "for now: decided when the first VM is made");
const BOOTS: Choice = Choice::new(Accel::Kvm, true, "a kernel boots under it");
pub(super) const USELESS: Choice =
    Choice::new(Accel::Tcg, true, "/dev/kvm is there but no kernel boots under it");

/// What is remembered, as `accel.json` in the state directory. Remove the file
/// to have the question asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// Kernel and QEMU of the host: another one may answer differently.
    host: String,
    accel: Accel,
    /// Guest kernels that did not boot under KVM.
    failed: Vec<String>,
}

/// Chooses once, and remembers.
pub(super) struct Chooser {
    setting: AccelSetting,
    file: PathBuf,
    qemu: PathBuf,
    /// What [`Chooser::current`] answers while a probe is under way.
    shown: RwLock<Choice>,
    probing: Mutex<()>,
}

impl Chooser {
    pub(super) fn new(setting: AccelSetting, state_dir: &Path, qemu: Option<&Path>) -> Self {
        Chooser {
            setting,
            file: state_dir.join("accel.json"),
            qemu: qemu.unwrap_or(Path::new(QEMU)).to_owned(),
            shown: RwLock::new(NOT_YET),
            probing: Mutex::new(()),
        }
    }

    /// What is known without booting anything. `qemu` is the emulator's version.
    pub(super) fn current(&self, qemu: u32) -> Choice {
        if let Some(choice) = self.without_probe() {
            return choice;
        }
        let shown = *self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if shown.settled {
            return shown;
        }
        match self.recall(&host(qemu)) {
            Some(Memory { accel: Accel::Kvm, .. }) => BOOTS,
            Some(Memory { accel: Accel::Tcg, .. }) => USELESS,
            None => NOT_YET,
        }
    }

    /// The accelerator for a domain that boots `boot`; boots its kernel under KVM
    /// if that has not been tried yet (at most 15 s).
    pub(super) async fn choose(&self, boot: &BootFiles, qemu: u32) -> Choice {
        if let Some(choice) = self.without_probe() {
            return choice;
        }
        let _one_at_a_time = self.probing.lock().await;
        let host = host(qemu);
        let kernel = fingerprint(&boot.kernel);
        let mut failed = match self.recall(&host) {
            Some(Memory { accel: Accel::Kvm, .. }) => return self.show(BOOTS),
            Some(Memory { accel: Accel::Tcg, failed, .. }) => failed,
            None => Vec::new(),
        };
        if failed.contains(&kernel) {
            return self.show(USELESS);
        }
        tracing::info!(kernel = %boot.kernel.display(), "trying whether a kernel boots under /dev/kvm");
        let (choice, accel) = match boots(&self.qemu, boot).await {
            Ok(true) => (BOOTS, Accel::Kvm),
            Ok(false) => {
                failed.push(kernel);
                (USELESS, Accel::Tcg)
            }
            // The emulator could not be run: that says nothing of KVM.
            Err(error) => {
                tracing::warn!(%error, "KVM could not be tried");
                return NOT_YET;
            }
        };
        tracing::info!(accel = %choice.sentence(), "accelerator chosen");
        self.remember(&Memory { host, accel, failed });
        self.show(choice)
    }

    fn show(&self, choice: Choice) -> Choice {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = choice;
        choice
    }

    fn without_probe(&self) -> Option<Choice> {
        match self.setting {
            AccelSetting::Kvm => Some(SET_KVM),
            AccelSetting::Tcg => Some(SET_TCG),
            AccelSetting::Auto if !Path::new(DEVICE).exists() => Some(NO_DEVICE),
            AccelSetting::Auto if !can_open() => Some(NOT_OURS),
            AccelSetting::Auto => None,
        }
    }

    fn recall(&self, host: &str) -> Option<Memory> {
        let text = std::fs::read(&self.file).ok()?;
        serde_json::from_slice::<Memory>(&text).ok().filter(|m| m.host == host)
    }

    /// A choice that cannot be remembered is made again next time: no fault.
    fn remember(&self, memory: &Memory) {
        let write = || -> Result<()> {
            if let Some(dir) = self.file.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let text = serde_json::to_vec_pretty(memory).map_err(crate::error::Error::internal)?;
            let fresh = self.file.with_extension("json.new");
            std::fs::write(&fresh, text)?;
            Ok(std::fs::rename(&fresh, &self.file)?)
        };
        if let Err(error) = write() {
            tracing::warn!(file = %self.file.display(), %error, "the accelerator is not remembered");
        }
    }
}

fn can_open() -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open(DEVICE).is_ok()
}

/// The host's kernel and QEMU.
fn host(qemu: u32) -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}, QEMU {qemu}", release.trim())
}

/// Tells one kernel file from another without reading it.
fn fingerprint(kernel: &Path) -> String {
    let told = std::fs::metadata(kernel).and_then(|meta| Ok((meta.len(), meta.modified()?)));
    let (bytes, changed) = told.unwrap_or((0, UNIX_EPOCH));
    let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{} {bytes} {}", kernel.display(), changed.as_nanos())
}

/// Boots the kernel under KVM, with neither disk nor network.
async fn boots(qemu: &Path, boot: &BootFiles) -> Result<bool> {
    let line = format!("{} console=ttyS0 ignore_loglevel panic=-1 twarga.probe", boot.kernel_args);
    let mut child = Command::new(qemu)
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc"])
        .args(["-accel", "kvm", "-cpu", "host", "-m", "512", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&boot.kernel)
        .arg("-initrd")
        .arg(&boot.initrd)
        .args(["-append", line.as_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let seen = tokio::time::timeout(PROBE_LIMIT, sees_sign(&mut child)).await.unwrap_or(false);
    let _ = child.kill().await;
    Ok(seen)
}

/// Reads the serial console until it tells of a kernel that came up, or ends.
async fn sees_sign(child: &mut Child) -> bool {
    let Some(mut console) = child.stdout.take() else { return false };
    let longest = SIGNS.iter().map(|s| s.len()).max().unwrap_or(0);
    let (mut window, mut chunk) = (Vec::<u8>::new(), [0; 4096]);
    while let Ok(n @ 1..) = console.read(&mut chunk).await {
        window.extend(chunk.iter().take(n));
        if SIGNS.iter().any(|sign| window.windows(sign.len()).any(|w| w == *sign)) {
            return true;
        }
        // Enough for a sign that straddles two reads.
        window.drain(..window.len().saturating_sub(longest));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(dir: &Path) -> BootFiles {
        let file = |name| dir.join(name);
        BootFiles { disk: file("d"), kernel: file("k"), initrd: file("i"), kernel_args: "quiet".into() }
    }

    /// An emulator that says `words` and runs on.
    fn emulator(dir: &Path, words: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join("qemu");
        std::fs::write(&path, format!("#!/bin/sh\nprintf '{words}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_sign_of_life_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let boot = boot(dir.path());
        assert!(boots(&emulator(dir.path(), "SeaBIOS\\n\\ntwarga-probe-ok\\r\\n"), &boot).await.unwrap());
        assert!(!boots(&emulator(dir.path(), "SeaBIOS (version 1.16)\\n"), &boot).await.unwrap());
        assert!(boots(Path::new("/no/such/emulator"), &boot).await.is_err());
    }

    #[tokio::test]
    async fn settings_are_obeyed() {
        let dir = tempfile::tempdir().unwrap();
        for (setting, accel) in [(AccelSetting::Kvm, Accel::Kvm), (AccelSetting::Tcg, Accel::Tcg)] {
            let chooser = Chooser::new(setting, dir.path(), Some(Path::new("/no/such/emulator")));
            assert_eq!(chooser.choose(&boot(dir.path()), 7).await.accel, accel);
            assert!(chooser.current(7).sentence().contains("set in the configuration"));
        }
    }

    #[test]
    fn memory_holds_for_one_host_only() {
        let dir = tempfile::tempdir().unwrap();
        let chooser = Chooser::new(AccelSetting::Auto, &dir.path().join("new"), None);
        let memory = Memory { host: host(7), accel: Accel::Tcg, failed: vec!["k".into()] };
        chooser.remember(&memory);
        assert_eq!(chooser.recall(&host(7)), Some(memory));
        assert_eq!(chooser.recall(&host(8)), None);
    }
}
