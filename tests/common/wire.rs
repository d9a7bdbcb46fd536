//! The SSH transport by hand (RFC 4253): what no decent client can be made to
//! send goes through here. curve25519-sha256 and aes128-gcm@openssh.com; the
//! host key is not looked at.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use russh::keys::PrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

/// The longest that an exchange of a few packets may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Message numbers (RFC 4250 §4.1.2).
pub mod msg {
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const UNIMPLEMENTED: u8 = 3;
    pub const DEBUG: u8 = 4;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const EXT_INFO: u8 = 7;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const ECDH_INIT: u8 = 30;
    pub const ECDH_REPLY: u8 = 31;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const USERAUTH_PK_OK: u8 = 60;
    pub const USERAUTH_INFO_RESPONSE: u8 = 61;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const REQUEST_SUCCESS: u8 = 81;
    pub const REQUEST_FAILURE: u8 = 82;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
    pub const CHANNEL_FAILURE: u8 = 100;
}

/// A message put together field by field (RFC 4251 §5).
#[derive(Debug, Clone)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn new(number: u8) -> Message {
        Message(vec![number])
    }

    pub fn byte(mut self, byte: u8) -> Message {
        self.0.push(byte);
        self
    }

    pub fn int(mut self, n: u32) -> Message {
        self.0.extend(n.to_be_bytes());
        self
    }

    pub fn text(mut self, bytes: impl AsRef<[u8]>) -> Message {
        let bytes = bytes.as_ref();
        self.0.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        self.0.extend(bytes);
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Message {
        self.0.extend(bytes);
        self
    }

    /// An unsigned number of that many bytes, as `mpint`.
    pub fn mpint(self, bytes: &[u8]) -> Message {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        let mut number = bytes[zeros..].to_vec();
        if number.first().is_some_and(|b| b & 0x80 != 0) {
            number.insert(0, 0);
        }
        self.text(number)
    }
}

/// What a session channel is opened with.
pub fn open_session(channel: u32, window: u32, packet: u32) -> Vec<u8> {
    Message::new(msg::CHANNEL_OPEN).text("session").int(channel).int(window).int(packet).0
}

/// A request on a channel; its own fields are added to it.
pub fn channel_request(channel: u32, kind: &str, answer: bool) -> Message {
    Message::new(msg::CHANNEL_REQUEST).int(channel).text(kind).byte(answer.into())
}

/// A login by password.
pub fn password(login: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Vec<u8> {
    let m = Message::new(msg::USERAUTH_REQUEST).text(login).text("ssh-connection").text("password");
    m.byte(0).text(password).0
}

/// The field of a message at that place: its bytes, and where the next begins.
pub fn field(message: &[u8], at: usize) -> (&[u8], usize) {
    let start = at + 4;
    let length = u32::from_be_bytes(message[at..start].try_into().unwrap()) as usize;
    (&message[start..start + length], start + length)
}

/// The number in a message at that place.
pub fn int(message: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(message[at..at + 4].try_into().unwrap())
}

/// One direction's cipher (RFC 5647).
struct Cipher {
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Cipher {
    fn nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let counter = u64::from_be_bytes(self.iv[4..].try_into().unwrap()).wrapping_add(1);
        self.iv[4..].copy_from_slice(&counter.to_be_bytes());
        nonce
    }
}

/// What comes from the server.
pub struct Reader {
    stream: OwnedReadHalf,
    cipher: Option<Cipher>,
}

/// What goes to the server.
pub struct Writer {
    stream: OwnedWriteHalf,
    cipher: Option<Cipher>,
}

impl Reader {
    /// The next packet's payload.
    pub async fn packet(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes(head) as usize;
        assert!(length < 1 << 20, "the server sends a packet of {length} bytes");
        let tag = if self.cipher.is_some() { 16 } else { 0 };
        let mut body = vec![0; length + tag];
        self.stream.read_exact(&mut body).await?;
        if let Some(cipher) = &mut self.cipher {
            let nonce = cipher.nonce();
            let opened = cipher.key.open_in_place(nonce, Aad::from(head), &mut body);
            opened.expect("the server's packet is not whole");
            body.truncate(length);
        }
        let end = body.len() - usize::from(body[0]);
        Ok(body[1..end].to_vec())
    }

    /// The next packet of one of these kinds; others are passed over.
    pub async fn next_of(&mut self, kinds: &[u8]) -> io::Result<Vec<u8>> {
        let find = async {
            loop {
                let packet = self.packet().await?;
                if packet.first().is_some_and(|k| kinds.contains(k)) {
                    return Ok(packet);
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("no message of {kinds:?} comes"))
    }

    /// Reads to the end of the connection; how many packets came.
    pub async fn drain(&mut self) -> usize {
        let mut count = 0;
        while self.packet().await.is_ok() {
            count += 1;
        }
        count
    }

    /// Bytes as they come, not deciphered. 0 at the end.
    pub async fn raw(&mut self, buffer: &mut [u8]) -> usize {
        self.stream.read(buffer).await.unwrap_or(0)
    }
}

impl Writer {
    /// Sends a payload as a packet.
    pub async fn packet(&mut self, payload: impl AsRef<[u8]>) -> io::Result<()> {
        let sealed = self.seal(payload.as_ref(), None);
        self.stream.write_all(&sealed).await
    }

    /// Sends many packets in one write.
    pub async fn packets<'a>(&mut self, payloads: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut all = Vec::new();
        for payload in payloads {
            all.extend(self.seal(payload, None));
        }
        self.stream.write_all(&all).await
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends our side.
    pub async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The packet's bytes, with the byte that tells its padding's length as it
    /// should be or as somebody wants it.
    pub fn seal(&mut self, payload: &[u8], padding_byte: Option<u8>) -> Vec<u8> {
        let (block, counted) = if self.cipher.is_some() { (16, 1) } else { (8, 5) };
        let mut padding = block - (payload.len() + counted) % block;
        if padding < 4 {
            padding += block;
        }
        let length = u32::try_from(1 + payload.len() + padding).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(padding_byte.unwrap_or(u8::try_from(padding).unwrap()));
        packet.extend(payload);
        packet.resize(packet.len() + padding, 0);
        if let Some(cipher) = &mut self.cipher {
            let nonce = cipher.nonce();
            let (head, body) = packet.split_at_mut(4);
            let tag = cipher.key.seal_in_place_separate_tag(nonce, Aad::from(&*head), body).unwrap();
            packet.extend(tag.as_ref());
        }
        packet
    }
}

/// A connection.
pub struct Wire {
    pub reader: Reader,
    pub writer: Writer,
    /// Our line of the version exchange and the server's, without their ends.
    pub versions: (Vec<u8>, Vec<u8>),
    session_id: Option<Vec<u8>>,
}

/// Our KEXINIT.
pub fn kexinit() -> Vec<u8> {
    let mut m = Message::new(msg::KEXINIT).raw(&[7; 16]);
    let names = [
        "curve25519-sha256",
        "ssh-ed25519,rsa-sha2-512,ecdsa-sha2-nistp256",
        "aes128-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    for list in names {
        m = m.text(list);
    }
    m.byte(0).int(0).0
}

/// A TCP connection from that address of the loopback, `127.0.0.from`.
pub async fn dial(to: SocketAddr, from: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
    socket.connect(to).await
}

impl Wire {
    /// A connection on which nothing was said yet.
    pub fn over(stream: TcpStream) -> Wire {
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        Wire {
            reader: Reader { stream: read, cipher: None },
            writer: Writer { stream: write, cipher: None },
            versions: Default::default(),
            session_id: None,
        }
    }

    /// Connects and says the versions.
    pub async fn greet(to: SocketAddr, from: u8) -> io::Result<Wire> {
        let mut wire = Wire::over(dial(to, from).await?);
        wire.versions.0 = b"SSH-2.0-wire".to_vec();
        wire.writer.raw(b"SSH-2.0-wire\r\n").await?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(wire.reader.stream.read_u8().await?);
            if line.len() > 255 {
                return Err(io::Error::other("a long line"));
            }
        }
        wire.versions.1 = line.trim_ascii_end().to_vec();
        if !wire.versions.1.starts_with(b"SSH-2.0-") {
            return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned()));
        }
        Ok(wire)
    }

    /// Connects, up to the end of the first key exchange.
    pub async fn connect(to: SocketAddr, from: u8) -> io::Result<Wire> {
        let mut wire = Wire::greet(to, from).await?;
        wire.exchange().await?;
        Ok(wire)
    }

    /// A whole key exchange, the first or another.
    pub async fn exchange(&mut self) -> io::Result<()> {
        let ours = kexinit();
        self.writer.packet(&ours).await?;
        let theirs = self.reader.next_of(&[msg::KEXINIT]).await?;
        let secret = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let public = secret.compute_public_key().unwrap();
        self.writer.packet(Message::new(msg::ECDH_INIT).text(&public).0).await?;
        let reply = self.reader.next_of(&[msg::ECDH_REPLY]).await?;
        let (host_key, at) = field(&reply, 1);
        let (their_public, _) = field(&reply, at);
        let peer = UnparsedPublicKey::new(&X25519, their_public);
        let shared = agree_ephemeral(secret, peer, io::Error::other("no key"), |k| Ok(k.to_vec()))?;
        let hashed = Message(Vec::new()).text(&self.versions.0).text(&self.versions.1).text(&ours);
        let hashed = hashed.text(&theirs).text(host_key).text(public.as_ref()).text(their_public);
        let hash = digest(&SHA256, &hashed.mpint(&shared).0).as_ref().to_vec();
        let id = self.session_id.get_or_insert_with(|| hash.clone()).clone();
        self.writer.packet([msg::NEWKEYS]).await?;
        self.reader.next_of(&[msg::NEWKEYS]).await?;
        let derive = |letter: u8| {
            let input = Message(Vec::new()).mpint(&shared).raw(&hash).byte(letter).raw(&id).0;
            digest(&SHA256, &input).as_ref().to_vec()
        };
        let cipher = |iv: u8, key: u8| {
            let key = UnboundKey::new(&AES_128_GCM, &derive(key)[..16]).unwrap();
            Cipher { key: LessSafeKey::new(key), iv: derive(iv)[..12].try_into().unwrap() }
        };
        self.writer.cipher = Some(cipher(b'A', b'C'));
        self.reader.cipher = Some(cipher(b'B', b'D'));
        Ok(())
    }

    /// Asks for the service that lets in.
    pub async fn ask_to_sign_in(&mut self) -> io::Result<()> {
        self.writer.packet(Message::new(msg::SERVICE_REQUEST).text("ssh-userauth").0).await?;
        self.reader.next_of(&[6]).await.map(drop)
    }

    /// Signs in with an Ed25519 key.
    pub async fn sign_in(&mut self, login: &str, key: &Key) -> io::Result<()> {
        self.ask_to_sign_in().await?;
        let request = self.signed_request(login, key);
        self.writer.packet(request).await?;
        let answer = self.reader.next_of(&[msg::USERAUTH_SUCCESS, msg::USERAUTH_FAILURE]).await?;
        match answer[0] {
            msg::USERAUTH_SUCCESS => Ok(()),
            _ => Err(io::Error::other(format!("{login} is not let in"))),
        }
    }

    /// The request to be let in by a key, signed (RFC 4252 §7).
    pub fn signed_request(&self, login: &str, key: &Key) -> Vec<u8> {
        let request = Message::new(msg::USERAUTH_REQUEST).text(login).text("ssh-connection");
        let request = request.text("publickey").byte(1).text("ssh-ed25519").text(key.blob());
        let id = self.session_id.clone().unwrap_or_default();
        let signed = Message(Vec::new()).text(id).raw(&request.0).0;
        let signature = key.0.sign(&signed);
        request.text(Message(Vec::new()).text("ssh-ed25519").text(signature.as_ref()).0).0
    }

    /// Opens a session channel; the server's number for it.
    pub async fn open(&mut self, number: u32, window: u32, packet: u32) -> io::Result<u32> {
        self.writer.packet(open_session(number, window, packet)).await?;
        let kinds = [msg::CHANNEL_OPEN_CONFIRMATION, msg::CHANNEL_OPEN_FAILURE];
        let answer = self.reader.next_of(&kinds).await?;
        match answer[0] {
            msg::CHANNEL_OPEN_CONFIRMATION => Ok(int(&answer, 5)),
            _ => Err(io::Error::other("no channel")),
        }
    }

    /// Runs a command on a channel of its own; what it said on standard output.
    pub async fn exec(&mut self, number: u32, command: &str) -> io::Result<Vec<u8>> {
        let channel = self.open(number, 1 << 20, 32 * 1024).await?;
        self.writer.packet(channel_request(channel, "exec", true).text(command).0).await?;
        let mut said = Vec::new();
        loop {
            let packet = self.reader.next_of(&[msg::CHANNEL_DATA, msg::CHANNEL_CLOSE]).await?;
            match packet[0] {
                _ if int(&packet, 1) != number => {}
                msg::CHANNEL_DATA => said.extend(field(&packet, 5).0),
                _ => break,
            }
        }
        self.writer.packet(Message::new(msg::CHANNEL_CLOSE).int(channel).0).await?;
        Ok(said)
    }
}

/// An Ed25519 key that signs.
pub struct Key(Ed25519KeyPair);

impl Key {
    /// Of an OpenSSH file.
    pub fn read(path: &Path) -> Key {
        let key = PrivateKey::from_openssh(std::fs::read(path).unwrap()).unwrap();
        let seed = key.key_data().ed25519().unwrap().private.to_bytes();
        Key(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap())
    }

    /// The public half as SSH writes it.
    pub fn blob(&self) -> Vec<u8> {
        Message(Vec::new()).text("ssh-ed25519").text(self.0.public_key()).0
    }
}
