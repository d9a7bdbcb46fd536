//! An authenticator app, as a phone has it: RFC 6238, written apart from the
//! portal's own. And a client that answers what it is asked.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use tokio::process::Command;
use twarga::action::totp::{TotpConfirm, TotpEnable};
use twarga::portal::Principal;

use crate::common::TestPortal;

/// An app that knows one account.
pub struct App {
    pub secret: String,
    /// Which one it is in, with whose number: its past is forgotten there.
    pub user_id: i64,
    pub backup_codes: Vec<String>,
}

/// The code that an app shows so many steps from now.
pub fn code(secret: &str, steps: i64) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let step = now / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let mac = hmac::sign(&key, &step.checked_add_signed(steps).unwrap().to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[19] & 15);
    let word = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

impl App {
    /// Sets up a second factor for somebody, without a face.
    pub async fn set_up(portal: &TestPortal, who: &Principal) -> App {
        let made = portal.portal.perform(who, TotpEnable { text: true }).await.unwrap();
        let secret = made.secret.to_string();
        let confirm = TotpConfirm { code: vec![code(&secret, 0)] };
        let codes = portal.portal.perform(who, confirm).await.unwrap().backup_codes;
        let backup_codes = codes.iter().map(|c| c.to_string()).collect();
        App { secret, user_id: who.user_id(), backup_codes }
    }

    /// A code that works now: as if the codes before it had been long ago.
    pub fn fresh(&self, portal: &TestPortal) -> String {
        let db = rusqlite::Connection::open(portal.dir.path().join("data/twarga.db")).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        db.execute("UPDATE totp SET last_step = 0 WHERE user_id = ?1", [self.user_id]).unwrap();
        code(&self.secret, 0)
    }

    /// A code that is not right at this moment.
    pub fn wrong(&self) -> String {
        let right: Vec<_> = (-2..=2).map(|steps| code(&self.secret, steps)).collect();
        (0..).map(|n| format!("{n:06}")).find(|c| !right.contains(c)).unwrap()
    }
}

/// Has a command's ssh answer what it is asked: a password, and a code.
pub fn answering<'a>(
    portal: &TestPortal,
    command: &'a mut Command,
    password: &str,
    code: &str,
) -> &'a mut Command {
    let ask = portal.dir.path().join(format!("askpass-{}", uuid::Uuid::new_v4().simple()));
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n*assword*) printf '%s\\n' '{password}' ;;\n*ode:*) printf '%s\\n' '{code}' ;;\n*) exit 1 ;;\nesac\n"
    );
    std::fs::write(&ask, script).unwrap();
    std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    command.env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force").env_remove("DISPLAY")
}

/// `ssh` that shows a key and answers with a code.
pub fn ssh_with_code(portal: &TestPortal, key: &Path, code: &str) -> Command {
    let mut ssh = portal.ssh_first(&["BatchMode=no", "NumberOfPasswordPrompts=1"], key);
    answering(portal, &mut ssh, "none", code);
    ssh
}
