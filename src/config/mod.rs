//! `twarga.toml` → [`Config`]. Every key is optional, unknown keys are errors,
//! and *all* mistakes are reported, each with its line.

mod section;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use self::section::{Section, line_of, string};
use crate::error::{Code, Error};
use crate::model::{Network, Plan, Size, text};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Database, images, VMs, recordings and backups.
    pub data_dir: PathBuf,
    /// What people see this portal called, in the header of the screen.
    pub name: String,
    /// The portal's own keys, mode 0600.
    pub host_key_dir: PathBuf,
    /// The SSH server.
    pub ssh: Ssh,
    /// The HTTP page.
    pub http: Http,
    /// The drivers.
    pub driver: DriverConfig,
    /// What wrong passwords cost.
    pub guard: Guard,
    /// How people get an account.
    pub registration: Registration,
    /// Seconds between two samples of the host.
    pub sample_s: u64,
    /// Events that are kept, the newest.
    pub keep_events: u32,
    /// What is on offer.
    pub plans: Vec<Plan>,
    /// VMs that one account may have.
    pub max_vms_per_user: u32,
    /// The largest size that people may make up for themselves; plans may be larger.
    pub max_custom: Size,
}

/// The SSH server.
#[derive(Debug, Clone, PartialEq)]
pub struct Ssh {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether passwords are taken at all.
    pub password_auth: bool,
    /// Whether keys of hardware tokens are taken, though nobody sees whether they were touched.
    pub security_keys: bool,
    /// Seconds that a connection may take to sign in.
    pub login_grace_s: u64,
    /// Connections that have not signed in, at once.
    pub max_startups: u32,
    /// The same from one address.
    pub max_startups_per_ip: u32,
    /// Connections of one account, at once.
    pub max_sessions_per_user: u32,
    /// Seconds without input after which a session is closed.
    pub idle_timeout_s: u64,
    /// Seconds for which an account is not asked for a second factor again from an
    /// address; 0: it always is.
    pub remember_second_factor_s: u64,
    /// What everybody is told before they sign in; empty: nothing.
    pub banner: String,
    /// What everybody at a terminal is told when they have signed in.
    pub motd: String,
}

/// What wrong passwords and codes cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Failures of one address at once, the last of which bans it.
    pub failures: u32,
    /// Seconds after which one of them is forgotten.
    pub drain_s: u64,
    /// Names that one address may be wrong about at once.
    pub names: u32,
    /// Failures at one account at once, from wherever.
    pub account_failures: u32,
    /// Seconds that the first ban of an address lasts.
    pub ban_s: u64,
    /// Seconds that a ban lasts at most.
    pub longest_ban_s: u64,
    /// Seconds after the end of a ban until which the next is twice as long.
    pub forget_s: u64,
    /// Addresses that nothing of this is for.
    pub allow: Vec<Network>,
}

/// The HTTP page.
#[derive(Clone, PartialEq)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// What `/metrics` wants as a bearer token.
    pub metrics_token: Option<String>,
}

/// Shows no token.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// The drivers.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverConfig {
    /// Which one makes new VMs.
    pub default: String,
    /// libvirt's.
    pub libvirt: Libvirt,
}

/// The libvirt driver.
#[derive(Debug, Clone, PartialEq)]
pub struct Libvirt {
    /// Where libvirt is.
    pub uri: String,
    /// How VMs are run.
    pub accel: Accel,
    /// `user`.
    pub network: String,
    /// Whether guests may open connections to the outside by user networking.
    /// QEMU cannot tell the world from the host's own loopback there, so it is off.
    pub outbound: bool,
    /// Ports on the loopback for VMs: first and last.
    pub ports: (u16, u16),
    /// How long a guest may take from its start to its SSH server's first word.
    pub boot_timeout_s: u64,
}

/// How VMs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By KVM if that really works, else by TCG.
    Auto,
    /// By KVM.
    Kvm,
    /// By QEMU's translator.
    Tcg,
}

/// How people get an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// `closed`, `invite` or `open`.
    pub mode: String,
    /// What a new account starts with.
    pub starting_credits: f64,
    /// Accounts that strangers may make within an hour, where registration is open.
    pub per_hour: u32,
    /// The same from one address.
    pub per_hour_per_ip: u32,
}

impl Registration {
    /// Whether invitations make accounts.
    pub fn by_invitation(&self) -> bool {
        self.mode != "closed"
    }

    /// Whether anybody may make an account.
    pub fn open_to_all(&self) -> bool {
        self.mode == "open"
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: PathBuf::from("data"),
            host_key_dir: PathBuf::from("host-keys"),
            name: String::from("Twarga"),
            ssh: Ssh {
                listen: SocketAddr::from(([0, 0, 0, 0], 2222)),
                password_auth: true,
                security_keys: false,
                login_grace_s: 30,
                max_startups: 100,
                max_startups_per_ip: 20,
                max_sessions_per_user: 50,
                idle_timeout_s: 3600,
                banner: String::new(),
                motd: String::new(),
                remember_second_factor_s: 0,
            },
            http: Http { listen: SocketAddr::from(([127, 0, 0, 1], 9180)), metrics_token: None },
            driver: DriverConfig {
                default: String::from("libvirt"),
                libvirt: Libvirt {
                    uri: String::from("qemu:///system"),
                    accel: Accel::Auto,
                    network: String::from("user"),
                    outbound: false,
                    ports: (20_000, 29_999),
                    boot_timeout_s: 300,
                },
            },
            guard: Guard {
                failures: 10,
                drain_s: 30,
                names: 10,
                account_failures: 30,
                ban_s: 60,
                longest_ban_s: 86_400,
                forget_s: 86_400,
                allow: Vec::new(),
            },
            registration: Registration {
                mode: String::from("invite"),
                starting_credits: 100.0,
                per_hour: 60,
                per_hour_per_ip: 5,
            },
            sample_s: 5,
            keep_events: 1_000_000,
            plans: Plan::built_in(),
            max_vms_per_user: 20,
            max_custom: Size { vcpus: 4, ram_mb: 4096, disk_gb: 50 },
        }
    }
}

/// The longest name of a portal, characters.
const LONGEST_NAME: usize = 40;
/// The longest of what everybody is told, bytes.
const LONGEST_WORDS: usize = 16 * 1024;

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// One plain sentence.
    pub message: String,
}

impl Mistake {
    /// What the file says may hold anything; what is said of it goes to a terminal.
    fn at(line: usize, message: &str) -> Self {
        Mistake { line, message: text::clean(message) }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl Config {
    /// Reads the named file; without a name, `twarga.toml` here; else the built-in values.
    ///
    /// # Errors
    /// `config`, listing every mistake.
    pub fn load(file: Option<&Path>) -> Result<Config, Error> {
        let path = file.unwrap_or(Path::new("twarga.toml"));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => {
                return Ok(Config::default());
            }
            Err(e) => {
                let message = format!("The configuration {} cannot be read: {e}.", path.display());
                return Err(Error::new(Code::Config, message).hint("Name another with `--config FILE`."));
            }
        };
        Config::parse(&text).map_err(|mistakes| {
            let lines: Vec<_> = mistakes.iter().map(|m| format!("  {}: {m}", path.display())).collect();
            let count =
                if lines.len() == 1 { "a mistake".into() } else { format!("{} mistakes", lines.len()) };
            Error::new(Code::Config, format!("The configuration has {count}:\n{}", lines.join("\n"))).hint("")
        })
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// Every mistake, in the order of the lines.
    pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
        let document = DeTable::parse(text).map_err(|e| {
            let line = e.span().map_or(1, |span| line_of(text, span.start));
            vec![Mistake::at(line, &format!("Not TOML: {}.", e.message()))]
        })?;
        let mut config = Config::default();
        let mut root =
            Section { path: String::new(), text, table: document.get_ref(), known: vec![], mistakes: vec![] };
        config.read(&mut root);
        let mut mistakes = root.finish();
        mistakes.sort_by_key(|m| m.line);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    fn read(&mut self, root: &mut Section<'_>) {
        root.path_value("data_dir", &mut self.data_dir);
        root.path_value("host_key_dir", &mut self.host_key_dir);
        root.title("name", LONGEST_NAME, &mut self.name);
        root.section("ssh", |s| self.ssh.read(s));
        root.section("http", |s| {
            s.address("listen", &mut self.http.listen);
            s.with("metrics_token", |v| {
                let token = string(v)?;
                if token.len() < 16 {
                    return Err("a token has at least 16 characters".into());
                }
                self.http.metrics_token = Some(token);
                Ok(())
            });
        });
        root.section("driver", |s| self.driver.read(s));
        root.section("guard", |s| self.guard.read(s));
        root.section("registration", |s| {
            s.choice("mode", &["closed", "invite", "open"], &mut self.registration.mode);
            s.number("starting_credits", 0.0, 1e9, &mut self.registration.starting_credits);
            s.integer("per_hour", 1, 100_000, &mut self.registration.per_hour);
            s.integer("per_hour_per_ip", 1, 100_000, &mut self.registration.per_hour_per_ip);
        });
        root.section("monitor", |s| s.integer("sample_s", 1, 3600, &mut self.sample_s));
        root.section("events", |s| s.integer("keep", 1000, 1_000_000_000, &mut self.keep_events));
        root.section("limits", |s| {
            s.integer("vms_per_user", 0, 100_000, &mut self.max_vms_per_user);
            s.integer("custom_vcpus", 1, 512, &mut self.max_custom.vcpus);
            s.integer("custom_ram_mb", 64, 16_777_216, &mut self.max_custom.ram_mb);
            s.integer("custom_disk_gb", 1, 1_048_576, &mut self.max_custom.disk_gb);
        });
        let mut plans = Vec::new();
        root.sections("plan", |s| {
            let plan = read_plan(s);
            if plans.iter().any(|p: &Plan| p.name == plan.name) {
                s.mistake(&["name"], "another plan has that name");
            }
            plans.push(plan);
        });
        if !plans.is_empty() {
            self.plans = plans;
        }
    }
}

impl Ssh {
    fn read(&mut self, s: &mut Section<'_>) {
        s.address("listen", &mut self.listen);
        s.boolean("password_auth", &mut self.password_auth);
        s.boolean("security_keys", &mut self.security_keys);
        s.integer("login_grace_s", 1, 3600, &mut self.login_grace_s);
        s.integer("max_startups", 1, 100_000, &mut self.max_startups);
        s.integer("max_startups_per_ip", 1, 100_000, &mut self.max_startups_per_ip);
        s.integer("max_sessions_per_user", 1, 100_000, &mut self.max_sessions_per_user);
        s.integer("idle_timeout_s", 1, 31_536_000, &mut self.idle_timeout_s);
        s.integer("remember_second_factor_s", 0, 31_536_000, &mut self.remember_second_factor_s);
        s.words("banner", "banner_file", LONGEST_WORDS, &mut self.banner);
        s.words("motd", "motd_file", LONGEST_WORDS, &mut self.motd);
    }
}

impl Guard {
    fn read(&mut self, s: &mut Section<'_>) {
        s.integer("failures", 1, 100_000, &mut self.failures);
        s.integer("drain_s", 1, 86_400, &mut self.drain_s);
        s.integer("names", 1, 100_000, &mut self.names);
        s.integer("account_failures", 1, 100_000, &mut self.account_failures);
        s.integer("ban_s", 1, 31_536_000, &mut self.ban_s);
        s.integer("longest_ban_s", 1, 31_536_000, &mut self.longest_ban_s);
        s.integer("forget_s", 1, 31_536_000, &mut self.forget_s);
        s.strings("allow", |word| {
            self.allow.push(word.parse().map_err(|e: Error| e.message)?);
            Ok(())
        });
        if self.ban_s > self.longest_ban_s {
            s.mistake(&["ban_s", "longest_ban_s"], "the first ban is longer than the longest");
        }
    }
}

impl DriverConfig {
    fn read(&mut self, s: &mut Section<'_>) {
        s.choice("default", &["libvirt"], &mut self.default);
        s.section("libvirt", |s| {
            s.text("uri", &mut self.libvirt.uri);
            let mut accel = String::from("auto");
            s.choice("accel", &["auto", "kvm", "tcg"], &mut accel);
            self.libvirt.accel = match accel.as_str() {
                "kvm" => Accel::Kvm,
                "tcg" => Accel::Tcg,
                _ => Accel::Auto,
            };
            s.choice("network", &["user"], &mut self.libvirt.network);
            s.boolean("outbound", &mut self.libvirt.outbound);
            s.integer("boot_timeout_s", 5, 86_400, &mut self.libvirt.boot_timeout_s);
            s.integer("first_port", 1024, 65_535, &mut self.libvirt.ports.0);
            s.integer("last_port", 1024, 65_535, &mut self.libvirt.ports.1);
            let (first, last) = self.libvirt.ports;
            if first > last {
                s.mistake(&["last_port", "first_port"], &format!("no port lies between {first} and {last}"));
            }
        });
    }
}

fn read_plan(s: &mut Section<'_>) -> Plan {
    let mut plan = Plan {
        name: String::new(),
        size: Size { vcpus: 1, ram_mb: 512, disk_gb: 10 },
        credits_per_hour: 1.0,
    };
    s.require("name");
    s.with("name", |v| {
        plan.name = string(v)?;
        plan.name
            .parse::<crate::model::VmName>()
            .map(|_| ())
            .map_err(|_| "a plan is named like a VM".to_owned())
    });
    s.integer("vcpus", 1, 512, &mut plan.size.vcpus);
    s.integer("ram_mb", 64, 16_777_216, &mut plan.size.ram_mb);
    s.integer("disk_gb", 1, 1_048_576, &mut plan.size.disk_gb);
    s.number("credits_per_hour", 0.0, 1e9, &mut plan.credits_per_hour);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_contracts_example_is_read() {
        let text = r#"
data_dir     = "d"
host_key_dir = "k"
[ssh]
listen = "127.0.0.1:2200"
password_auth = false
security_keys = true
login_grace_s = 10
max_startups = 5
max_startups_per_ip = 4
max_sessions_per_user = 3
idle_timeout_s = 60
[http]
listen = "127.0.0.1:9181"
metrics_token = "0123456789abcdef"
[driver]
default = "libvirt"
[driver.libvirt]
uri     = "test:///default"
accel   = "tcg"
network = "user"
[registration]
mode = "open"
starting_credits = 5
[monitor]
sample_s = 1
[[plan]]
name = "tiny"
vcpus = 1
ram_mb = 128
disk_gb = 1
credits_per_hour = 0.5
"#;
        let c = Config::parse(text).unwrap();
        assert_eq!(c.ssh.listen.port(), 2200);
        assert_eq!(c.plans.len(), 1);
        assert_eq!(c.plans[0].size.ram_mb, 128);
        assert!(!format!("{c:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "data_dri = \"x\"\n[ssh]\nlisten = 5\nmax_startups = -1\npasword_auth = true\n[http]\nlisten = \"nowhere\"\n[driver.libvirt]\naccel = \"magic\"\n[[plan]]\nvcpus = 1.5\n";
        let mistakes = Config::parse(text).unwrap_err();
        let lines: Vec<_> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 7, 9, 11, 11], "{mistakes:?}");
        assert!(mistakes[0].message.contains("Did you mean `data_dir`?"));
        assert!(mistakes[3].message.contains("`password_auth`"));
    }

    #[test]
    fn numbers_of_any_spelling_and_values_that_go_together() {
        let c = Config::parse("[registration]\nstarting_credits = 0x1F\n").unwrap();
        assert!((c.registration.starting_credits - 31.0).abs() < 1e-9);
        let mistakes = Config::parse("[driver.libvirt]\nfirst_port = 40000\n").unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].line), (1, 2), "{mistakes:?}");
        let twice = "[[plan]]\nname = \"a\"\n[[plan]]\nname = \"a\"\n";
        let mistakes = Config::parse(twice).unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].line), (1, 4), "{mistakes:?}");
    }

    #[test]
    fn words_for_everybody_and_networks() {
        let text = "[ssh]\nbanner = \"\"\"\nTwo lines,\nboth plain.\"\"\"\nmotd = \"a\\u001Bb\"\n\
                    [guard]\nallow = [\"10.0.0.0/8\", \"::1\"]\nban_s = 5\n";
        let mistakes = Config::parse(text).unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].line), (1, 5), "{mistakes:?}");
        let c = Config::parse(&text.replace("\\u001B", " ")).unwrap();
        assert_eq!((c.ssh.banner.as_str(), c.ssh.motd.as_str()), ("Two lines,\nboth plain.", "a b"));
        assert_eq!((c.guard.allow.len(), c.guard.ban_s), (2, 5));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "From a file.\n").unwrap();
        let of_file = |more: &str| format!("[ssh]\nmotd_file = \"{}\"\n{more}", file.path().display());
        assert_eq!(Config::parse(&of_file("")).unwrap().ssh.motd, "From a file.\n");
        assert_eq!(Config::parse(&of_file("motd = \"x\"\n")).unwrap_err()[0].line, 2);
        assert_eq!(Config::parse("[ssh]\nbanner_file = \"/nowhere\"\n").unwrap_err()[0].line, 2);
        let bad = "[guard]\nallow = [\"10.0.0.0/8\",\n\"web1\", 5]\nnames = 0\nban_s = 100000\n";
        let lines: Vec<_> = Config::parse(bad).unwrap_err().iter().map(|m| m.line).collect();
        assert_eq!(lines, [3, 3, 4, 5]);
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        let mistakes = Config::parse("data_dir = \"x\"\nssh = {").unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].line, 2, "{mistakes:?}");
    }

    #[test]
    fn numbers_beyond_any_bound() {
        let mistakes = Config::parse("[ssh]\nmax_startups = 99999999999999999999\n").unwrap_err();
        assert_eq!(mistakes[0].line, 2);
    }
}
