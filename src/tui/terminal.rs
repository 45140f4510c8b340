//! The terminal: entered, drawn on, and given back as it was, whatever ends the program.
//!
//! Raw mode, the alternate screen and bracketed paste are on between [`Screen::enter`] and the end of the [`Screen`]. A
//! panic gives the terminal back before it is told. SIGTERM, SIGHUP and SIGINT become a [`Happening`], so that the
//! program ends as if the grader had left; a second one ends it at once, also where the terminal no longer takes what is
//! written. Ctrl-Z and SIGTSTP give the terminal back until the program is continued.

use std::collections::VecDeque;
use std::io::{BufWriter, IsTerminal as _, Stdout, Write as _};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::{Position, Rect};
use ratatui_image::picker::Picker;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{pictures, protocol};
use crate::error::{Error, Result};

/// Whether the terminal is ours at this moment, so that it is given back once.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// What may happen while the screen waits.
#[derive(Debug)]
pub enum Happening {
    Event(Event),
    Nothing,
    /// The program is asked to stop until it is continued.
    Stopped,
    /// A signal asks the program to end; its name.
    Ended(&'static str),
}

/// Whether there is a terminal to grade on.
///
/// # Errors
/// Where stdin or stdout is none.
pub fn require() -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Error::input("grading needs a terminal, and stdin or stdout is none")
        .remedy("call it without pipes; --import and --export need no terminal"))
}

/// The terminal, while it is ours.
pub struct Screen {
    /// Never dropped: its own end writes to stderr about a cursor that it cannot show, and panics where stderr is gone too.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    signals: Signals,
    /// What was typed while the terminal was asked.
    typed: VecDeque<Event>,
    _hook: PanicHook,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Where stdin or stdout is none.
    pub fn enter() -> Result<Self> {
        require()?;
        let unable = |source: std::io::Error| Error::failed("the terminal cannot be used").source(source);
        let signals = Signals::listen().map_err(unable)?;
        let hook = PanicHook::set();
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, std::io::stdout()));
        // What was begun is undone where the rest of it fails; later, the end of the screen does that.
        let terminal = take().and_then(|()| Terminal::new(backend)).map_err(|source| {
            give_back();
            unable(source)
        })?;
        Ok(Self { terminal: ManuallyDrop::new(terminal), signals, typed: VecDeque::new(), _hook: hook })
    }

    /// What the terminal can draw, as it says itself; `is_tmux` says that another terminal is behind it. Keys that are
    /// typed before it has answered come with the next events.
    pub fn picker(&mut self, is_tmux: bool) -> Option<Picker> {
        let asked = protocol::ask(is_tmux);
        self.typed.extend(asked.typed);
        asked.picker
    }

    /// Draws, all in one write.
    pub fn draw(&mut self, draw: impl FnOnce(Rect, &mut Buffer) -> Option<Position>) -> std::io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            let cursor = draw(frame.area(), frame.buffer_mut());
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Empties the terminal, so that the next drawing sends everything.
    pub fn clear(&mut self) -> std::io::Result<()> {
        // Not `clear`, which asks the terminal where its cursor is and fails where it does not answer.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Waits for an event, at most for some time. A signal ends the waiting.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn next(&mut self, patience: Duration) -> std::io::Result<Happening> {
        for patience in [Duration::ZERO, patience] {
            if let Some(happening) = self.signals.seen() {
                return Ok(happening);
            }
            if let Some(event) = self.typed.pop_front() {
                return Ok(Happening::Event(event));
            }
            wait_for_input(patience)?;
            // Also where nothing was typed: the size of the window may have changed.
            if event::poll(Duration::ZERO)? {
                return event::read().map(Happening::Event);
            }
        }
        Ok(self.signals.seen().unwrap_or(Happening::Nothing))
    }

    /// Gives the terminal back, stops until the program is continued, and takes the terminal again.
    pub fn suspend(&mut self) -> Result<()> {
        give_back();
        stop_here();
        self.signals.forget_stop();
        take().map_err(|source| Error::failed("the terminal cannot be used again").source(source))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> std::io::Result<()> {
    IS_OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    // Emptied too: a program that was killed has left the alternate screen on, and what a shell wrote there since.
    execute!(std::io::stdout(), EnterAlternateScreen, Clear(ClearType::All), EnableBracketedPaste, cursor::Hide)
}

/// What fails here fails because the terminal is gone, and then there is nothing to give back.
fn give_back() {
    if IS_OURS.swap(false, Ordering::SeqCst) {
        let mut stdout = std::io::stdout();
        let _ = execute!(stdout, EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = stdout.flush();
    }
}

/// Signals, as flags that are looked at between two events.
struct Signals {
    ended: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    ids: Vec<SigId>,
    /// Ends the watch: there is nothing left to wait for.
    _watched: Sender<()>,
}

/// A program that was told to end and is held up by its terminal (a connection that stalls, Ctrl-S) ends all the same
/// after this time: every grade is on disk.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Looks after a program that was told to end.
fn watch(ended: Arc<AtomicUsize>) -> std::io::Result<Sender<()>> {
    let (sender, receiver) = channel::<()>();
    let mut told: Option<Instant> = None;
    let is_over = move || loop {
        match receiver.recv_timeout(Duration::from_millis(500)) {
            Err(RecvTimeoutError::Timeout) if ended.load(Ordering::SeqCst) == 0 => {}
            Err(RecvTimeoutError::Timeout) => {
                if told.get_or_insert_with(Instant::now).elapsed() > LAST_PATIENCE {
                    std::process::exit(130);
                }
            }
            _ => return,
        }
    };
    std::thread::Builder::new().name("end".to_owned()).spawn(is_over)?;
    Ok(sender)
}

#[cfg(unix)]
const ENDING: [(i32, &str); 3] =
    [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (signal_hook::consts::SIGHUP, "the end of the connection (SIGHUP)")];
#[cfg(not(unix))]
const ENDING: [(i32, &str); 2] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let ended: Arc<AtomicUsize> = Arc::default();
        let watched = watch(Arc::clone(&ended))?;
        let mut signals = Self { ended, stopped: Arc::default(), ids: Vec::new(), _watched: watched };
        let has_ended = Arc::new(AtomicBool::new(false));
        for (index, (signal, _)) in ENDING.iter().enumerate() {
            // In this order: the second signal finds the flag that the first has set.
            let at_once = signal_hook::flag::register_conditional_shutdown(*signal, 130, Arc::clone(&has_ended))?;
            let flag = signal_hook::flag::register(*signal, Arc::clone(&has_ended))?;
            let which = signal_hook::flag::register_usize(*signal, Arc::clone(&signals.ended), index + 1)?;
            signals.ids.extend([at_once, flag, which]);
        }
        #[cfg(unix)]
        signals.ids.push(signal_hook::flag::register(signal_hook::consts::SIGTSTP, Arc::clone(&signals.stopped))?);
        Ok(signals)
    }

    fn seen(&self) -> Option<Happening> {
        match self.ended.load(Ordering::SeqCst) {
            0 => self.stopped.swap(false, Ordering::SeqCst).then_some(Happening::Stopped),
            number => Some(Happening::Ended(ENDING.get(number - 1).map_or("a signal", |(_, name)| name))),
        }
    }

    fn forget_stop(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// Stops the whole job, as Ctrl-Z of a terminal does (a program that started this one waits with it).
#[cfg(unix)]
fn stop_here() {
    // SAFETY: sends a signal to the processes of this one's own group.
    unsafe {
        libc::kill(0, libc::SIGSTOP);
    }
}

#[cfg(not(unix))]
fn stop_here() {}

/// Waits until something was typed, a signal came, or some time has passed.
///
/// The library that reads the keys never returns from a terminal that has been closed (it reads the end of the input for
/// ever), so it is asked only while there is one.
#[cfg(unix)]
fn wait_for_input(patience: Duration) -> std::io::Result<()> {
    let mut waiting = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one descriptor, which lives for the call.
    let ready = unsafe { libc::poll(&raw mut waiting, 1, milliseconds) };
    let is_gone = ready > 0 && waiting.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
    if is_gone { Err(std::io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}

#[cfg(not(unix))]
fn wait_for_input(patience: Duration) -> std::io::Result<()> {
    event::poll(patience).map(drop)
}

/// Gives the terminal back before a panic is told. A picture that makes its decoder panic is told on the screen.
struct PanicHook {
    previous: Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>,
}

impl PanicHook {
    fn set() -> Self {
        let previous: Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync> = std::panic::take_hook().into();
        let of_hook = Arc::clone(&previous);
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some(pictures::THREAD) {
                give_back();
                of_hook(info);
            }
        }));
        Self { previous }
    }
}

impl Drop for PanicHook {
    fn drop(&mut self) {
        // A hook cannot be changed by a thread that panics.
        if !std::thread::panicking() {
            let previous = Arc::clone(&self.previous);
            std::panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}
