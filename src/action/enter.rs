//! Being inside a VM: shells, jumps, consoles, and the client's configuration
//! for them. Each is an action too, whose output is a stream.

use clap::Args;
use serde::Serialize;
use tokio::io::DuplexStream;

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::model::name::VmRef;
use crate::model::{Category, Permission, Reach, Vm};
use crate::portal::entry::Forward;
use crate::portal::{Action, Cx, Target};

/// Enter a VM: a shell, or a command
#[derive(Debug, Args, Serialize)]
pub struct VmSsh {
    /// Its name; another's as NAME.OWNER
    pub name: VmRef,
    /// What to run there instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    #[serde(skip)]
    pub command: Vec<String>,
}

impl Action for VmSsh {
    const NAME: &'static str = "vm.ssh";
    const PERMISSION: Permission = Permission::VmEnter;
    const CATEGORY: Category = Category::Session;
    type Output = (Vm, Guest);

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<(Vm, Guest)> {
        let vm = cx.vm()?;
        Ok((vm.clone(), cx.portal.enter(vm, cx.who.session()).await?))
    }
}

/// Connect to a port of a VM: what a jump and a forward come down to
#[derive(Debug, Serialize)]
pub struct VmForward {
    /// Its name.
    pub name: VmRef,
    /// The port.
    pub port: u16,
}

impl Action for VmForward {
    const NAME: &'static str = "vm.forward";
    const PERMISSION: Permission = Permission::VmEnter;
    const CATEGORY: Category = Category::Session;
    type Output = Forward;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Forward> {
        cx.portal.connect_to(cx.vm()?, self.port, cx.who.session()).await
    }
}

/// The serial console of a VM; Ctrl-] leaves it
#[derive(Debug, Args, Serialize)]
pub struct VmConsole {
    /// Its name; another's as NAME.OWNER
    pub name: VmRef,
}

impl Action for VmConsole {
    const NAME: &'static str = "vm.console";
    const PERMISSION: Permission = Permission::VmEnter;
    const CATEGORY: Category = Category::Session;
    type Output = DuplexStream;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<DuplexStream> {
        cx.portal.console(cx.vm()?, cx.who.session()).await
    }
}

/// Lines for your ssh config, so that `ssh NAME` enters a VM
///
///   ssh PORTAL ssh-config > ~/.ssh/twarga
///   echo 'Include ~/.ssh/twarga' >> ~/.ssh/config      (at its top)
#[derive(Debug, Args, Serialize)]
pub struct SshConfig {
    /// The portal as your ssh knows it: HOST or HOST:PORT
    #[arg(long, value_name = "HOST[:PORT]")]
    pub portal: Option<String>,
}

/// What `ssh-config` is made from.
#[derive(Debug, Serialize)]
pub struct SshConfigParts {
    /// Whom to sign in to the portal as.
    pub user: String,
    /// The portal, as given.
    pub portal_host: String,
    /// Its port.
    pub portal_port: u16,
    /// The portal's own host keys.
    pub portal_keys: Vec<String>,
    /// The account's VMs.
    pub vms: Vec<Vm>,
}

impl Action for SshConfig {
    const NAME: &'static str = "vm.ssh_config";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    const MINDS_LIMITS: bool = true;
    type Output = SshConfigParts;

    async fn run(self, cx: &Cx) -> Result<SshConfigParts> {
        let listen = cx.portal.config().ssh.listen;
        let (portal_host, portal_port) = split_portal(self.portal.as_deref(), listen.port())?;
        let mut vms = cx.portal.store().vms(Reach::Own(cx.who.user_id())).await?;
        vms.retain(|vm| cx.may_see(vm));
        Ok(SshConfigParts {
            user: cx.who.name().to_owned(),
            portal_host,
            portal_port,
            portal_keys: cx.portal.keys().host_lines(),
            vms,
        })
    }
}

fn split_portal(given: Option<&str>, default_port: u16) -> Result<(String, u16)> {
    let given = given.unwrap_or("localhost");
    let (host, port) = match given.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            let port = port.parse().map_err(|_| Error::usage("The portal's port is a number."))?;
            (host, port)
        }
        _ => (given, default_port),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || host.len() > 255 || !host.chars().all(good) {
        return Err(Error::usage("The portal is written as HOST or HOST:PORT."));
    }
    Ok((host.to_owned(), port))
}
