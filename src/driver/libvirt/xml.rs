//! A domain as libvirt's XML, and the little that we read from libvirt's XML.

use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use uuid::Uuid;

use super::accel::Accel;
use super::{LibvirtConfig, folder};
use crate::driver::DomainSpec;
use crate::error::{Code, Error, Result};

const DOMAIN: &str = include_str!("domain.xml");
const TEST_DOMAIN: &str = include_str!("test-domain.xml");

/// Memory for translated code, MiB a VM under TCG.
const TB_CACHE_MB: u32 = 128;

/// Longest title taken, characters.
const TITLE: usize = 200;

/// The domain's definition under `accel`; for a backend that boots nothing, none.
///
/// # Errors
/// `usage` if a value cannot stand in the definition.
pub(super) fn domain(spec: &DomainSpec, config: &LibvirtConfig, accel: Option<Accel>) -> Result<String> {
    check_name(&spec.name)?;
    let values = context! {
        type => match accel {
            Some(Accel::Kvm) => "kvm",
            Some(Accel::Tcg) => "qemu",
            None => "test",
        },
        name => &spec.name,
        uuid => spec.uuid.to_string(),
        title => one_line(&spec.title, TITLE),
        vcpus => spec.vcpus.max(1),
        ram_mb => spec.ram_mb,
        kernel => text(&spec.boot.kernel)?,
        initrd => text(&spec.boot.initrd)?,
        kernel_args => one_line(&spec.boot.kernel_args, usize::MAX),
        tb_cache_mb => TB_CACHE_MB,
        emulator => config.qemu.as_deref().map(text).transpose()?,
        overlay => text(&spec.dir.join(folder::OVERLAY))?,
        seed => text(&spec.dir.join(folder::SEED))?,
        console_log => text(&spec.dir.join(folder::CONSOLE_LOG))?,
        guest_agent => spec.guest_agent,
        restrict => if config.allow_outbound { "off" } else { "on" },
        ssh_port => spec.ssh_port,
        mac => mac(spec.uuid),
    };
    let template = if accel.is_some() { DOMAIN } else { TEST_DOMAIN };
    environment().render_named_str("domain.xml", template, values).map_err(Error::internal)
}

/// A value that is missing is a mistake of ours, and every value is escaped.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
}

/// A card's address that stays with the VM: QEMU's range, the rest from its UUID.
fn mac(uuid: Uuid) -> String {
    let [.., a, b, c] = uuid.into_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

/// libvirt refuses slashes and line ends in names, XML the other control characters.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('/') || name.chars().any(|c| !is_xml(c) || c.is_control()) {
        return Err(Error::new(Code::Usage, "libvirt takes no domain of that name."));
    }
    Ok(())
}

/// XML 1.0, production 2 (Char).
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The text on one line, without characters that XML cannot carry.
fn one_line(text: &str, longest: usize) -> String {
    let clean = |c: char| if is_xml(c) && !c.is_control() { c } else { ' ' };
    text.chars().take(longest).map(clean).collect()
}

/// A path as text, absolute: libvirt's working directory is not ours.
fn text(path: &Path) -> Result<String> {
    let path = std::path::absolute(path)?;
    match path.to_str() {
        Some(text) if text.chars().all(|c| is_xml(c) && !c.is_control()) => Ok(text.to_owned()),
        Some(_) | None => Err(Error::new(
            Code::Config,
            format!("libvirt cannot take the path {}: it is not plain text.", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::driver::libvirt::AccelSetting;
    use crate::driver::{BootFiles, Seed};

    fn spec() -> DomainSpec {
        DomainSpec {
            uuid: Uuid::from_u128(0x1234_5678),
            name: "twarga-<&>\"'1".into(),
            title: "web1 of <b>\"alice\"</b> & 'bob'\n]]>".into(),
            vcpus: 2,
            ram_mb: 512,
            disk_gb: 1,
            boot: BootFiles {
                disk: "/i/disk.qcow2".into(),
                kernel: "/i/a & b/kernel".into(),
                initrd: "/i/initrd".into(),
                kernel_args: "console=ttyS0 x=\"</cmdline>\"".into(),
            },
            dir: "/vms/<1>".into(),
            seed: Seed {
                instance_id: "i".into(),
                hostname: "web1".into(),
                user: "debian".into(),
                authorized_keys: vec![],
                host_key: zeroize::Zeroizing::new(String::new()),
                host_key_public: String::new(),
                user_data: None,
            },
            ssh_port: 2201,
            guest_agent: true,
        }
    }

    fn config(allow_outbound: bool) -> LibvirtConfig {
        LibvirtConfig {
            uri: "qemu:///system".into(),
            accel: AccelSetting::Auto,
            state_dir: PathBuf::from("/s"),
            qemu: None,
            allow_outbound,
        }
    }

    fn find<'a>(doc: &'a roxmltree::Document<'_>, tag: &str) -> roxmltree::Node<'a, 'a> {
        doc.descendants().find(|n| n.has_tag_name(tag)).unwrap()
    }

    #[test]
    fn metacharacters_stay_text() {
        for accel in [Some(Accel::Kvm), Some(Accel::Tcg), None] {
            let xml = domain(&spec(), &config(false), accel).unwrap();
            let doc = roxmltree::Document::parse(&xml).unwrap();
            assert_eq!(find(&doc, "name").text(), Some("twarga-<&>\"'1"));
            assert_eq!(find(&doc, "title").text(), Some("web1 of <b>\"alice\"</b> & 'bob' ]]>"));
            assert!(doc.descendants().all(|n| !n.has_tag_name("b")));
        }
    }

    #[test]
    fn kernel_and_folder_arrive_whole() {
        let xml = domain(&spec(), &config(false), Some(Accel::Tcg)).unwrap();
        let doc = roxmltree::Document::parse(&xml).unwrap();
        assert_eq!(find(&doc, "kernel").text(), Some("/i/a & b/kernel"));
        assert_eq!(find(&doc, "cmdline").text(), Some("console=ttyS0 x=\"</cmdline>\""));
        let sources: Vec<_> = doc.descendants().filter_map(|n| n.attribute("file")).collect();
        assert_eq!(sources, ["/vms/<1>/disk.qcow2", "/vms/<1>/seed.img", "/vms/<1>/console.log"]);
    }

    #[test]
    fn the_guest_reaches_nothing_unless_allowed() {
        let shut = domain(&spec(), &config(false), Some(Accel::Kvm)).unwrap();
        assert!(shut.contains("restrict=on,hostfwd=tcp:127.0.0.1:2201-:22"));
        let open = domain(&spec(), &config(true), Some(Accel::Kvm)).unwrap();
        assert!(open.contains("restrict=off,"));
    }

    #[test]
    fn names_that_libvirt_cannot_take_are_refused() {
        for name in ["", "a/b", "a\nb", "a\0b", "a\u{1b}b"] {
            let refused = domain(&DomainSpec { name: name.into(), ..spec() }, &config(false), None);
            assert_eq!(refused.map_err(|e| e.code), Err(Code::Usage), "{name:?}");
        }
    }

    #[test]
    fn paths_that_xml_cannot_carry_are_refused() {
        let bad = DomainSpec { dir: "/vms/\u{1}".into(), ..spec() };
        assert_eq!(domain(&bad, &config(false), None).map_err(|e| e.code), Err(Code::Config));
    }
}
