//! A program in a pseudo-terminal, and a screen that shows what it draws.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits for it where all goes well.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the program ends every drawing with (the end of a synchronized update).
const END_OF_DRAWING: &[u8] = b"\x1b[?2026l";

/// A terminal with a program in it.
pub struct Terminal {
    child: Child,
    master: Option<File>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    parser: vt100::Parser,
    drawings: usize,
    /// All bytes that were sent to the screen.
    bytes: usize,
    /// Whether the program has asked for the status of the terminal.
    is_asked: bool,
    is_closed: bool,
    is_hung_up: bool,
}

/// What a terminal answers to the questions of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answers {
    /// What a plain terminal without pictures says.
    Plain,
    /// What a terminal with kitty's pictures says.
    Kitty,
    /// As plain, after a while.
    Late,
    /// Nothing, ever.
    None,
}

fn size_of(size: (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    let side = |side| NonZeroU16::new(side).expect("a window has cells");
    (side(size.1), side(size.0))
}

fn winsize(size: (u16, u16)) -> libc::winsize {
    libc::winsize { ws_row: size.1, ws_col: size.0, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// Starts a program in a window of `size` (columns, rows).
    pub fn start(mut command: Command, size: (u16, u16), answers: Answers) -> Self {
        let (mut master, mut slave) = (-1, -1);
        let window = winsize(size);
        // SAFETY: all pointers live for the call; the two descriptors are owned below and nowhere else.
        let (master, slave) = unsafe {
            let failed = libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                &raw const window,
            );
            assert_eq!(failed, 0, "no pseudo-terminal");
            (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        // The child must not hold the side of the screen, or a closed window would not be noticed.
        // SAFETY: sets a flag of a descriptor that is open.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let side = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(side()).stdout(side()).stderr(side());
        command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env_remove("NO_COLOR");
        for name in ["TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "DISPLAY", "WAYLAND_DISPLAY"] {
            command.env_remove(name);
        }
        // SAFETY: between fork and exec only two system calls are made, both of which are safe there.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        drop((command, slave));
        let (rows, columns) = size_of(size);
        let seen = Seen {
            parser: vt100::Parser::new(rows, columns, 0),
            drawings: 0,
            bytes: 0,
            is_asked: false,
            is_closed: false,
            is_hung_up: false,
        };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: Condvar::new() });
        let (screen, of_thread) = (master.try_clone().expect("a descriptor"), Arc::clone(&shared));
        let thread = std::thread::spawn(move || show(screen, &of_thread, answers));
        Self { child, master: Some(master), shared, thread: Some(thread) }
    }

    pub fn send(&self, keys: &str) {
        let mut master = self.master.as_ref().expect("the window is open");
        master.write_all(keys.as_bytes()).expect("the program takes keys");
    }

    pub fn resize(&self, size: (u16, u16)) {
        let (rows, columns) = size_of(size);
        self.shared.seen.lock().expect("not poisoned").parser.set_size(rows, columns);
        let master = self.master.as_ref().expect("the window is open");
        let window = winsize(size);
        // SAFETY: the descriptor is open and the structure lives for the call.
        assert_eq!(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const window) }, 0);
    }

    /// Closes the window, as a lost connection does.
    pub fn hang_up(&mut self) {
        self.shared.seen.lock().expect("not poisoned").is_hung_up = true;
        self.master = None;
        // With the last copy of the descriptor, the kernel tells the program.
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it reads to the end");
        }
    }

    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: sends a signal to a process that this test started and has not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits until the screen shows what is expected; gives its text.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        self.wait_until(what, |seen| {
            let text = seen.parser.screen().contents();
            is_so(&text).then_some(text)
        })
    }

    pub fn wait_for_text(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contains(text))
    }

    /// Waits until the program has asked the terminal something.
    pub fn wait_for_question(&self) {
        self.wait_until("a question", |seen| seen.is_asked.then_some(()));
    }

    /// Waits until the alternate screen has been left.
    pub fn wait_for_main_screen(&self) {
        self.wait_until("the main screen", |seen| (!seen.parser.screen().alternate_screen()).then_some(()));
    }

    fn wait_until<T>(&self, what: &str, find: impl Fn(&Seen) -> Option<T>) -> T {
        let began = Instant::now();
        let mut seen = self.shared.seen.lock().expect("not poisoned");
        loop {
            if let Some(found) = find(&seen) {
                return found;
            }
            let is_over = began.elapsed() > PATIENCE || seen.is_closed;
            assert!(!is_over, "waited in vain for {what}; the screen:\n{}", seen.parser.screen().contents());
            seen = self.shared.changed.wait_timeout(seen, Duration::from_millis(50)).expect("not poisoned").0;
        }
    }

    pub fn text(&self) -> String {
        self.shared.seen.lock().expect("not poisoned").parser.screen().contents()
    }

    /// Whether the program holds the terminal: the alternate screen, a hidden cursor.
    pub fn is_held(&self) -> bool {
        let seen = self.shared.seen.lock().expect("not poisoned");
        seen.parser.screen().alternate_screen()
    }

    pub fn shows_cursor(&self) -> bool {
        !self.shared.seen.lock().expect("not poisoned").parser.screen().hide_cursor()
    }

    /// Whether lines are edited and echoed, as a shell wants it.
    pub fn is_cooked(&self) -> bool {
        let master = self.master.as_ref().expect("the window is open");
        let mut modes = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the call fills the structure where it succeeds, and only then is it read.
        let flags = unsafe {
            assert_eq!(libc::tcgetattr(master.as_raw_fd(), modes.as_mut_ptr()), 0);
            modes.assume_init().c_lflag
        };
        flags & libc::ICANON != 0 && flags & libc::ECHO != 0
    }

    /// (drawings, bytes) that the screen was sent so far.
    pub fn sent(&self) -> (usize, usize) {
        let seen = self.shared.seen.lock().expect("not poisoned");
        (seen.drawings, seen.bytes)
    }

    /// Peak memory of the program in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Waits for the end of the program.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end; the screen:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the program has stopped (and not ended).
    pub fn wait_until_stopped(&self) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        let began = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: asks about a child of this process; the status lives for the call.
            let changed = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED | libc::WNOHANG) };
            if changed == pid {
                assert!(libc::WIFSTOPPED(status), "it has ended");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it does not stop; the screen:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts what the program writes on the screen, and answers its questions, until the window is closed.
fn show(mut screen: File, shared: &Shared, answers: Answers) {
    let mut bytes = [0u8; 1 << 16];
    // The end of what came before: a sequence may come in two pieces.
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let mut ready = libc::pollfd { fd: screen.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, which lives for the call.
        let count = unsafe { libc::poll(&raw mut ready, 1, 20) };
        if shared.seen.lock().expect("not poisoned").is_hung_up {
            return;
        }
        if count == 0 {
            continue;
        }
        // An error means that the program has ended: nobody holds the other side.
        let read = screen.read(&mut bytes).unwrap_or(0);
        let mut seen = shared.seen.lock().expect("not poisoned");
        if read == 0 {
            seen.is_closed = true;
            shared.changed.notify_all();
            return;
        }
        let known = tail.len();
        tail.extend_from_slice(&bytes[..read]);
        let new = |wanted: &[u8]| {
            let ends = tail.windows(wanted.len()).enumerate().filter(|(_, window)| window == &wanted);
            ends.filter(|(at, _)| at + wanted.len() > known).count()
        };
        let mut reply = String::new();
        if answers == Answers::Kitty {
            reply.push_str(&"\x1b_Gi=31;OK\x1b\\".repeat(new(b"\x1b_Gi=31")));
            reply.push_str(&"\x1b[6;20;10t".repeat(new(b"\x1b[16t")));
        }
        if answers != Answers::None {
            reply.push_str(&"\x1b[?62c".repeat(new(b"\x1b[c")));
            reply.push_str(&"\x1b[0n".repeat(new(b"\x1b[5n")));
        }
        seen.is_asked |= new(b"\x1b[5n") > 0;
        seen.drawings += new(END_OF_DRAWING);
        seen.bytes += read;
        seen.parser.process(&bytes[..read]);
        tail.drain(..tail.len().saturating_sub(END_OF_DRAWING.len()));
        shared.changed.notify_all();
        drop(seen);
        if !reply.is_empty() {
            if answers == Answers::Late {
                std::thread::sleep(Duration::from_millis(300));
            }
            let _ = screen.write_all(reply.as_bytes());
        }
    }
}
