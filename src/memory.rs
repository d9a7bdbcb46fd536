//! The process's own memory. Nobody else looks into it: it holds secrets. What is
//! not needed any more is given back to the system: memory that was freed, and code
//! that ran once.
//!
//! glibc gives back by itself only what is free at the end of a heap: after
//! hundreds of sessions have left, their memory stays with the process, although
//! all of it is free, because something small and young lies behind it. (500 full
//! screens: 100 MiB that were not needed any more.)
//!
//! And it keeps a few freed pieces of each small size for the thread that freed
//! them, and with each piece its page. (After those screens 0.8 MiB of pieces kept
//! 4.4 MiB.) There is no call that takes them from a thread, but it can be asked to
//! put them down itself.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Pieces of each size that glibc keeps for a thread (its tcache).
const KEPT: usize = 7;
/// The sizes: 24, 40, … 1032 bytes.
const SIZES: usize = 64;

/// How often threads were asked to put down what is kept for them.
static ASKED: AtomicU32 = AtomicU32::new(0);
/// What they put down, to be freed where nothing is kept.
static PUT_DOWN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

thread_local! {
    /// Which time this thread did it last.
    static ANSWERED: Cell<u32> = const { Cell::new(0) };
}

/// From now on the process leaves no core dump, and no process of the same account
/// can read its memory.
pub fn keep_from_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(e) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(error = %e, "a crash may leave a core dump");
    }
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(error = %e, "others of this account may read the portal's memory");
    }
}

/// Asks the threads to put down what is kept for them, each before it waits next.
/// The next [`give_back`] gives it back.
pub fn ask_threads() {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// For a thread that lives long, when it has nothing to do.
pub fn before_waiting() {
    let asked = ASKED.load(Ordering::Relaxed);
    if ANSWERED.replace(asked) != asked {
        let pieces = take_kept();
        PUT_DOWN.lock().unwrap_or_else(PoisonError::into_inner).extend(pieces);
    }
}

/// All that is kept for this thread: whoever asks for as much gets that first.
fn take_kept() -> Vec<Vec<u8>> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Vec::new();
    }
    let sizes = (0..SIZES).flat_map(|n| [24 + 16 * n; KEPT]);
    let mut pieces = Vec::with_capacity(SIZES * KEPT);
    pieces.extend(sizes.map(Vec::with_capacity));
    pieces
}

/// Gives back every free page, and what threads put down. Takes a few milliseconds,
/// in which allocating threads may wait for each other.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn give_back() {
    let pieces = std::mem::take(&mut *PUT_DOWN.lock().unwrap_or_else(PoisonError::into_inner));
    if !pieces.is_empty() {
        // Nothing is kept for a thread that has ended.
        let freeing = std::thread::Builder::new().spawn(move || drop(pieces));
        let _ = freeing.map(std::thread::JoinHandle::join);
    }
    // SAFETY: malloc_trim(3) takes a number, may be called from any thread at any
    // time, and touches only memory that nobody has.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

/// Lets go the pages of code that only the start needed, or the rush before a
/// calm: code is more than half of a fresh portal's memory, most of it that of
/// the libraries under libvirt's client. What is called again comes back from the
/// page cache.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn let_go_of_code() {
    use rustix::mm::{Advice, madvise};
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(code) {
        // SAFETY: madvise(2) with MADV_DONTNEED has the next access of a private
        // file mapping read the file again. These hold code, which is never
        // written: it is the same.
        let _ = unsafe {
            madvise(std::ptr::with_exposed_provenance_mut(start), end - start, Advice::LinuxDontNeed)
        };
    }
}

/// Elsewhere they stay.
#[cfg(not(target_os = "linux"))]
pub fn let_go_of_code() {}

/// The addresses of a line of proc_pid_maps(5), if it is a file's code, private
/// and read-only.
#[cfg(target_os = "linux")]
fn code(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, path) = (words.next()?, words.nth(3)?);
    let address = |text| usize::from_str_radix(text, 16).ok();
    (rights == "r-xp" && path.starts_with('/')).then_some((address(start)?, address(end)?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_let_go() {
        let file = "/usr/lib/libvirt.so.0.9000.0";
        let line = |rights, path| format!("7f00aa000000-7f00aa021000 {rights} 00026000 fe:00 1234   {path}");
        assert_eq!(code(&line("r-xp", file)), Some((0x7f00_aa00_0000, 0x7f00_aa02_1000)));
        for (rights, path) in
            [("rw-p", file), ("r--p", file), ("rwxp", file), ("r-xs", file), ("r-xp", "[vdso]"), ("r-xp", "")]
        {
            assert_eq!(code(&line(rights, path)), None, "{rights} {path}");
        }
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_is_kept_for_a_thread_is_taken_from_it() {
        let address = |piece: &Vec<u8>| piece.as_ptr().addr();
        let sizes = [24, 40, 600, 1032];
        let freed = sizes.map(|size| address(&Vec::with_capacity(size)));
        let taken: Vec<_> = take_kept().iter().map(address).collect();
        assert!(freed.iter().all(|piece| taken.contains(piece)), "{freed:x?} {taken:x?}");
    }

    #[test]
    fn a_thread_puts_down_once_what_it_was_asked_for() {
        ask_threads();
        assert_ne!(ANSWERED.get(), ASKED.load(Ordering::Relaxed));
        let asked = ASKED.load(Ordering::Relaxed);
        before_waiting();
        assert!(ANSWERED.get() >= asked);
    }

    #[test]
    fn the_program_goes_on() {
        let_go_of_code();
        assert_eq!("still here".len(), 10);
    }
}
