//! Messages that a client may send, with fields by chance: enough of them make
//! sense for the server to follow.

use super::dice::Dice;
use crate::wire::{Message, channel_request, kexinit, msg, open_session, password};

const LOGINS: [&str; 8] = ["alice", "alice+web1", "nobody", "", "admin", "+", "a\0b", "alice+web1.bob"];
const COMMANDS: [&str; 12] = [
    "whoami",
    "vm ls --json",
    "help",
    "vm show web1",
    "",
    "vm new \u{1b}[31m",
    "\0",
    "key ls",
    "job watch 1",
    "'open",
    "event ls --limit 5",
    "exit",
];
const HOSTS: [&str; 6] = ["web1", "127.0.0.1", "", "localhost", "web1.alice", "::1"];
const TERMS: [&str; 5] = ["xterm-256color", "dumb", "", "vt100", "\u{1b}[2J"];
const WINDOWS: [u32; 6] = [0, 1, 37, 4096, 2 << 20, u32::MAX];
/// Keys of a person, more of what means something than chance would bring.
const KEYS: [&[u8]; 14] = [
    b"whoami\r",
    b"\x1b[A",
    b"\x1b[200~pasted\nlines\x1b[201~",
    b"\x1b",
    b"\x03",
    b"\x04",
    b"\t",
    b"vm ls\r",
    b"help\n",
    b"\xff\xfe",
    b"\x1b[99999999999;9999m",
    b"j",
    b"?",
    b"\x1b]0;title\x07",
];

/// The server's number of a channel, as likely as not.
fn channel(dice: &mut Dice) -> u32 {
    match dice.below(12) {
        0 => dice.int(),
        n => u32::try_from(1 + n % 6).unwrap(),
    }
}

fn text(dice: &mut Dice) -> Vec<u8> {
    match dice.below(20) {
        0 => {
            let length = dice.below(60_000);
            vec![b'x'; length]
        }
        1..=4 => {
            let length = dice.below(40);
            dice.bytes(length)
        }
        _ => dice.of(&KEYS).to_vec(),
    }
}

/// Before somebody is signed in.
pub fn before(dice: &mut Dice) -> Vec<u8> {
    let login = dice.of(&LOGINS);
    let request =
        |method: &str| Message::new(msg::USERAUTH_REQUEST).text(login).text("ssh-connection").text(method);
    match dice.below(16) {
        0..=3 => Message::new(msg::SERVICE_REQUEST).text(dice.of(&["ssh-userauth", "ssh-connection", ""])).0,
        4 => request("none").0,
        // Few: each costs a hash, and keeps its place among the startups that long.
        5 if dice.often(20) => password(login, dice.of(&["wrong", "", "\0"])),
        6 => request("password").byte(1).text("old").text("new").0,
        7 => {
            let signed = dice.byte() & 1;
            let key = Message(Vec::new()).text("ssh-ed25519").text(dice.bytes(32)).0;
            let m = request("publickey").byte(signed).text("ssh-ed25519").text(key);
            if signed == 0 {
                return m.0;
            }
            m.text(Message(Vec::new()).text("ssh-ed25519").text(dice.bytes(64)).0).0
        }
        8 => {
            let names = [
                "ssh-rsa",
                "rsa-sha2-512",
                "ecdsa-sha2-nistp256",
                "sk-ssh-ed25519@openssh.com",
                "x",
                "ssh-ed25519-cert-v01@openssh.com",
            ];
            let name = dice.of(&names);
            let key = Message(Vec::new()).text(name).text(text(dice)).text(text(dice)).text(text(dice)).0;
            request("publickey").byte(dice.byte() & 1).text(name).text(key).0
        }
        9 => request("keyboard-interactive").text("").text("").0,
        10 => {
            let count = dice.int();
            Message::new(msg::USERAUTH_INFO_RESPONSE).int(count).text("a").text("b").0
        }
        11 => request("hostbased").text("ssh-ed25519").text("k").text("host").text("root").text("s").0,
        12 => transport(dice),
        13 => after(dice, true),
        14 => Message::new(msg::EXT_INFO).int(dice.int()).text("server-sig-algs").text("x").0,
        _ => {
            let length = dice.below(200);
            Message::new(msg::IGNORE).text(dice.bytes(length)).0
        }
    }
}

/// Of the transport's own kinds.
pub fn transport(dice: &mut Dice) -> Vec<u8> {
    match dice.below(7) {
        0 => kexinit(),
        1 => Message::new(msg::ECDH_INIT).text(dice.bytes(32)).0,
        2 => vec![msg::NEWKEYS],
        3 => Message::new(msg::DEBUG).byte(1).text(text(dice)).text("en").0,
        4 => Message::new(msg::UNIMPLEMENTED).int(dice.int()).0,
        5 => Message::new(msg::IGNORE).text(text(dice)).0,
        _ => Message::new(192).text(text(dice)).0,
    }
}

/// Once somebody is signed in; `wild` is what ends a connection at once.
pub fn after(dice: &mut Dice, wild: bool) -> Vec<u8> {
    match dice.below(40) {
        0..=5 => {
            let (number, window) = (dice.int(), dice.of(&WINDOWS));
            let packet = dice.of(&[0, 1, 100, 32 * 1024, u32::MAX]);
            open_session(number, window, packet)
        }
        6..=8 => open_other(dice),
        9..=21 => request(dice),
        22..=28 => Message::new(msg::CHANNEL_DATA).int(channel(dice)).text(text(dice)).0,
        29 => Message::new(msg::CHANNEL_EXTENDED_DATA).int(channel(dice)).int(dice.int()).text(text(dice)).0,
        30 | 31 => Message::new(msg::CHANNEL_WINDOW_ADJUST).int(channel(dice)).int(dice.int()).0,
        32 => Message::new(msg::CHANNEL_EOF).int(channel(dice)).0,
        33 => Message::new(msg::CHANNEL_CLOSE).int(channel(dice)).0,
        34 => Message::new(dice.of(&[msg::CHANNEL_SUCCESS, msg::CHANNEL_FAILURE])).int(channel(dice)).0,
        35 if wild => answer_to_nothing(dice),
        36 => Message::new(dice.of(&[msg::REQUEST_SUCCESS, msg::REQUEST_FAILURE])).0,
        37 => global(dice),
        38 if wild => transport(dice),
        39 if wild => {
            let length = dice.below(64);
            dice.bytes(length)
        }
        _ => Message::new(dice.of(&[msg::IGNORE, msg::DEBUG, 192])).text(text(dice)).0,
    }
}

fn open_other(dice: &mut Dice) -> Vec<u8> {
    let kinds = [
        "direct-tcpip",
        "forwarded-tcpip",
        "x11",
        "direct-streamlocal@openssh.com",
        "auth-agent@openssh.com",
        "tun@openssh.com",
        "",
    ];
    let kind = dice.of(&kinds);
    let m = Message::new(msg::CHANNEL_OPEN).text(kind).int(dice.int()).int(dice.int()).int(dice.int());
    let host = dice.of(&HOSTS);
    match kind {
        "direct-tcpip" | "forwarded-tcpip" => {
            m.text(host).int(dice.of(&[22, 0, 80, 70_000])).text("127.0.0.1").int(dice.int()).0
        }
        "x11" => m.text(host).int(dice.int()).0,
        "direct-streamlocal@openssh.com" => m.text("/var/run/libvirt/libvirt-sock").text("").int(0).0,
        _ => m.0,
    }
}

fn request(dice: &mut Dice) -> Vec<u8> {
    let (number, answer) = (channel(dice), dice.often(70));
    let m = |kind| channel_request(number, kind, answer);
    match dice.below(14) {
        0 | 1 => {
            let modes = match dice.below(4) {
                0 => vec![0],
                1 => vec![3, 0, 0, 0, 127, 0],
                2 => (0..dice.below(300))
                    .flat_map(|i| [u8::try_from(i % 159).unwrap() + 1, 0, 0, 0, 1])
                    .collect(),
                _ => dice.bytes(17),
            };
            let m = m("pty-req").text(dice.of(&TERMS)).int(dice.int()).int(dice.int());
            m.int(dice.int()).int(dice.int()).text(modes).0
        }
        2 | 3 => m("shell").0,
        4..=6 => m("exec").text(dice.of(&COMMANDS)).0,
        7 => m("subsystem").text(dice.of(&["sftp", "", "netconf"])).0,
        8 => m("env").text(dice.of(&["LANG", "LC_ALL", "LD_PRELOAD", ""])).text(text(dice)).0,
        9 | 10 => m("window-change").int(dice.int()).int(dice.int()).int(dice.int()).int(dice.int()).0,
        11 => m("signal").text(dice.of(&["INT", "KILL", "", "WINCH"])).0,
        12 => m("x11-req").byte(1).text("MIT-MAGIC-COOKIE-1").text("00").int(dice.int()).0,
        _ => {
            m(dice.of(&["auth-agent-req@openssh.com", "exit-status", "keepalive@openssh.com", "xon-xoff"])).0
        }
    }
}

fn global(dice: &mut Dice) -> Vec<u8> {
    let kinds = [
        "keepalive@openssh.com",
        "tcpip-forward",
        "cancel-tcpip-forward",
        "streamlocal-forward@openssh.com",
        "hostkeys-prove-00@openssh.com",
        "no-more-sessions@openssh.com",
    ];
    let kind = dice.of(&kinds);
    let m = Message::new(msg::GLOBAL_REQUEST).text(kind).byte(dice.byte() & 1);
    if kind.contains("forward") { m.text("0.0.0.0").int(dice.int()).0 } else { m.0 }
}

/// Answers to channels that the server never asked for.
fn answer_to_nothing(dice: &mut Dice) -> Vec<u8> {
    match dice.below(2) {
        0 => {
            let m = Message::new(msg::CHANNEL_OPEN_CONFIRMATION).int(channel(dice)).int(dice.int());
            m.int(dice.int()).int(dice.int()).0
        }
        _ => {
            Message::new(msg::CHANNEL_OPEN_FAILURE).int(channel(dice)).int(dice.int()).text("no").text("en").0
        }
    }
}
