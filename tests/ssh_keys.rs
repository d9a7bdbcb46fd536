//! Keys at the door, by a client that lies: offers without signatures, keys of
//! hardware that is none; and the algorithms that the portal speaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::borrow::Cow;

use common::raw::{self, Client};
use common::{PASSWORD, TestPortal, mock, mock_with, output, status, stderr, stdout};
use russh::client::Config;
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::{Preferred, kex};
use sha2::{Digest, Sha256};
use twarga::action::key::KeyAdd;

/// Offers a key and never signs.
struct Unwilling;

#[derive(Debug)]
struct Refused;

impl From<russh::SendError> for Refused {
    fn from(_: russh::SendError) -> Self {
        Refused
    }
}

impl russh::Signer for Unwilling {
    type Error = Refused;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        _: Vec<u8>,
    ) -> Result<Vec<u8>, Refused> {
        Err(Refused)
    }
}

/// Signs with another key than the one that is offered.
struct Forger(PrivateKey);

impl russh::Signer for Forger {
    type Error = Refused;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Refused> {
        let signature = self.0.try_sign(&data).unwrap();
        let blob = [text(b"ssh-ed25519"), text(signature.as_bytes())].concat();
        data.extend(text(&blob));
        Ok(data)
    }
}

/// An SSH string.
fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

async fn offer(client: &mut Client, login: &str, key: PublicKey) {
    assert!(client.authenticate_publickey_with(login, key, None, &mut Unwilling).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offered_key_that_is_not_signed_with_lets_nobody_in() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob_key = portal.user_with_key("bob", "user").await;
    portal.user("dave", "user").await;
    let public = raw::private(&alice).public_key().clone();
    // Offered, and then nothing.
    let mut client = raw::connect(&portal).await;
    offer(&mut client, "alice", public.clone()).await;
    let opened = tokio::time::timeout(std::time::Duration::from_secs(2), client.channel_open_session()).await;
    assert!(!matches!(opened, Ok(Ok(_))), "a channel opens before the login");
    // Offered, and then another's key or password for alice.
    let mut client = raw::connect(&portal).await;
    offer(&mut client, "alice", public.clone()).await;
    assert!(!raw::try_key(&mut client, "alice", &bob_key).await);
    offer(&mut client, "alice", public.clone()).await;
    assert!(!raw::try_password(&mut client, "alice", PASSWORD).await);
    // Offered, and then oneself: one is oneself and not alice.
    offer(&mut client, "alice", public.clone()).await;
    assert!(raw::try_key(&mut client, "bob", &bob_key).await);
    assert_eq!(raw::exec(&client, "whoami").await.text(), "bob\n");
    let mut client = raw::connect(&portal).await;
    offer(&mut client, "alice", public).await;
    assert!(raw::try_password(&mut client, "dave", PASSWORD).await);
    assert_eq!(raw::exec(&client, "whoami").await.text(), "dave\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_another_key_lets_nobody_in() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mallory = portal.keygen("mallory", &["-t", "ed25519"]);
    let public = raw::private(&alice).public_key().clone();
    let mut client = raw::connect(&portal).await;
    let mut forger = Forger(raw::private(&mallory).as_ref().clone());
    let forged = client.authenticate_publickey_with("alice", public.clone(), None, &mut forger).await;
    assert!(!forged.unwrap().success());
    // The same way lets in with the right key: it is the signature that is refused.
    let mut honest = Forger(raw::private(&alice).as_ref().clone());
    assert!(client.authenticate_publickey_with("alice", public, None, &mut honest).await.unwrap().success());
}

/// A security key without hardware (PROTOCOL.u2f).
struct SoftKey {
    key: PrivateKey,
    /// What the portal is shown to have been signed for.
    application: &'static str,
    /// Somebody touched it.
    present: bool,
}

impl SoftKey {
    fn public(&self) -> PublicKey {
        let point = self.key.public_key().key_data().ed25519().unwrap().0;
        let name = b"sk-ssh-ed25519@openssh.com";
        PublicKey::from_bytes(&[text(name), text(&point), text(b"ssh:")].concat()).unwrap()
    }
}

impl russh::Signer for SoftKey {
    type Error = Refused;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Refused> {
        let (present, counter) = (u8::from(self.present), 7u32.to_be_bytes());
        let application = Sha256::digest(self.application.as_bytes());
        let signed = [&application[..], &[present], &counter, &Sha256::digest(&data)[..]].concat();
        let signature = self.key.try_sign(&signed).unwrap();
        let name = text(b"sk-ssh-ed25519@openssh.com");
        let blob = [name, text(signature.as_bytes()), vec![present], counter.to_vec()].concat();
        data.extend(text(&blob));
        Ok(data)
    }
}

/// An account with a security key, on a portal that takes those.
async fn with_security_key() -> (TestPortal, SoftKey) {
    let (portal, _driver) = mock_with(|c| c.ssh.security_keys = true).await;
    let alice = portal.user("alice", "user").await;
    let seed = portal.keygen("soft", &["-t", "ed25519"]);
    let soft = SoftKey { key: raw::private(&seed).as_ref().clone(), application: "ssh:", present: true };
    let line = soft.public().to_openssh().unwrap();
    assert!(line.starts_with("sk-ssh-ed25519@openssh.com "));
    portal.portal.perform(&alice, KeyAdd::of(line)).await.unwrap();
    (portal, soft)
}

async fn signs_in(portal: &TestPortal, soft: &mut SoftKey) -> bool {
    let mut client = raw::connect(portal).await;
    let public = soft.public();
    client.authenticate_publickey_with("alice", public, None, soft).await.unwrap().success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_key_lets_in_where_they_are_taken() {
    let (portal, mut soft) = with_security_key().await;
    // A signature that was made for a web site.
    soft.application = "webauthn.example";
    assert!(!signs_in(&portal, &mut soft).await, "a signature for another application lets in");
    soft.application = "ssh:";
    assert!(signs_in(&portal, &mut soft).await);
}

/// Why they are not taken unless an administrator says so: russh shows nobody the
/// signature, and verifies one that was made without a touch as well. Should this
/// test fail one day, the flag is checked, and `security_keys` can go.
#[tokio::test(flavor = "multi_thread")]
async fn whether_a_security_key_was_touched_is_not_seen() {
    let (portal, mut soft) = with_security_key().await;
    soft.present = false;
    assert!(signs_in(&portal, &mut soft).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn security_keys_are_not_taken_unasked() {
    let (portal, soft) = with_security_key().await;
    let dir = portal.stop().await;
    let driver = std::sync::Arc::new(twarga::driver::mock::MockDriver::new());
    let portal = TestPortal::start_in(dir, driver, |_| {}).await;
    let alice = portal.sign_in("alice", PASSWORD).await;
    let line = soft.public().to_openssh().unwrap();
    let e = portal.portal.perform(&alice, KeyAdd::of(line)).await.unwrap_err();
    assert!(e.code == twarga::error::Code::BadKey && e.message.contains("hardware token"), "{e}");
    // It is on the account from before, and lets nobody in, touched or not.
    for present in [true, false] {
        let mut soft = SoftKey { key: soft.key.clone(), application: "ssh:", present };
        assert!(!signs_in(&portal, &mut soft).await);
    }
}

/// What `ssh -v` says of a login with those options.
async fn verbose(portal: &TestPortal, key: &std::path::Path, options: &[&str]) -> (i32, String, String) {
    let mut ssh = portal.ssh_first(&[&["LogLevel=DEBUG1"], options].concat(), key);
    let out = output(ssh.args(["-v", "alice@127.0.0.1", "whoami"])).await;
    (status(&out), stdout(&out), stderr(&out))
}

#[tokio::test(flavor = "multi_thread")]
async fn strong_algorithms_are_chosen_and_nothing_is_compressed() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let (code, _, said) = verbose(&portal, &alice, &["Compression=yes"]).await;
    assert_eq!(code, 0, "{said}");
    let kex = said.lines().find(|l| l.contains("kex: algorithm:")).unwrap();
    assert!(kex.contains("mlkem768x25519-sha256") || kex.contains("curve25519-sha256"), "{kex}");
    for way in ["server->client", "client->server"] {
        let line = said.lines().find(|l| l.contains(way)).unwrap();
        assert!(line.ends_with("compression: none"), "{line}");
    }
    assert!(said.contains("host key algorithm: ssh-ed25519"), "{said}");
    for good in
        ["Ciphers=aes128-gcm@openssh.com", "Ciphers=chacha20-poly1305@openssh.com", "Ciphers=aes256-ctr"]
    {
        assert_eq!(verbose(&portal, &alice, &[good]).await.0, 0, "{good}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_algorithms_are_not_spoken() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let weak: [&[&str]; 8] = [
        &["KexAlgorithms=diffie-hellman-group14-sha256"],
        &["KexAlgorithms=diffie-hellman-group1-sha1"],
        &["KexAlgorithms=ecdh-sha2-nistp256"],
        &["Ciphers=aes128-cbc"],
        &["Ciphers=3des-cbc"],
        &["Ciphers=aes128-ctr", "MACs=hmac-sha1"],
        &["Ciphers=aes128-ctr", "MACs=hmac-md5"],
        &["HostKeyAlgorithms=ssh-rsa,rsa-sha2-512"],
    ];
    for options in weak {
        let (code, out, said) = verbose(&portal, &alice, options).await;
        assert_eq!((code, out.as_str()), (255, ""), "{options:?}");
        assert!(said.contains("no matching"), "{options:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_exchange_can_be_post_quantum() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    const ONLY: &[kex::Name] = &[kex::MLKEM768X25519_SHA256];
    let preferred = Preferred { kex: Cow::Borrowed(ONLY), ..Preferred::default() };
    let mut client = raw::connect_as(&portal, Config { preferred, ..Config::default() }).await.unwrap();
    assert!(raw::try_key(&mut client, "alice", &alice).await);
    assert_eq!(raw::exec(&client, "whoami").await.text(), "alice\n");
}
