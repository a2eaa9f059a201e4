//! `ambit top`: nodes, namespaces, workloads and connections, live.
//!
//! - [`data`]: rows out of what is remembered
//! - [`view`]: what is shown and how keys change it; pure
//! - [`draw`]: a picture of it

mod data;
mod draw;
mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::{mpsc, watch};

use self::data::Data;
use self::view::{After, Level, View};
use crate::failure::{Failure, Outcome};
use crate::mesh::Where;
use crate::remembered::Remembered;
use crate::remembered::asked::duration;

/// Keys that wait to be acted on.
const KEYS: usize = 32;
/// How long the reader of keys waits before it sees whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// What to show first.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// What to begin with
    #[arg(value_enum, default_value_t)]
    level: Level,

    /// Between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    interval: Duration,

    /// The time over which rates are taken
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    window: Duration,

    #[command(flatten)]
    place: Where,
}

/// Shows it until `q`.
///
/// # Errors
/// Without a terminal, or if nobody can be asked.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal; programs ask `ambit edges -o json`".to_owned(),
        ));
    }
    let mesh = options.place.find().await?;
    let remembered = Remembered::find(&mesh).await?;
    // The first look before the screen changes: what is wrong then is told as by any command.
    let first = Data::look(&remembered, &mesh, options.window).await?;
    let mut view = View::new(options.level, mesh.name());
    let mut data = Ok(first);
    let (looked, mut looks) = mpsc::channel(1);
    let (mut keys, _ended) = keys();
    let mut terminal = ratatui::try_init().map_err(anyhow::Error::from)?;
    let _restore = Restore;
    let looking = async {
        loop {
            tokio::time::sleep(options.interval).await;
            let found = Data::look(&remembered, &mesh, options.window).await;
            if looked.send(found.map_err(|failure| failure.to_string())).await.is_err() {
                return;
            }
        }
    };
    let mut looking = std::pin::pin!(looking);
    loop {
        view.follow(data.as_ref().ok());
        terminal.draw(|frame| draw::draw(frame, &mut view, &data)).map_err(anyhow::Error::from)?;
        tokio::select! {
            () = &mut looking => return Ok(Outcome::Fine),
            found = looks.recv() => match (found, &data) {
                (Some(Ok(found)), _) => data = Ok(found),
                (Some(Err(why)), _) => {
                    // What was known is still shown, and said to be old.
                    match &mut data {
                        Ok(known) => known.stale = Some(why),
                        Err(before) => *before = why,
                    }
                }
                (None, _) => return Ok(Outcome::Fine),
            },
            event = keys.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if view.key(key, data.as_ref().ok()) == After::End {
                        return Ok(Outcome::Fine);
                    }
                }
                Some(_) => {}
                None => return Ok(Outcome::Fine),
            },
        }
    }
}

/// Gives the terminal back, however the command ends.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Keys and changes of the terminal's size, from a thread that may wait; it ends with the second
/// value.
fn keys() -> (mpsc::Receiver<Event>, watch::Sender<()>) {
    let (sender, receiver) = mpsc::channel(KEYS);
    let (alive, ended) = watch::channel(());
    std::thread::spawn(move || {
        while ended.has_changed().is_ok() {
            match event::poll(POLL) {
                Ok(false) => {}
                Ok(true) => {
                    let read = event::read().ok();
                    let sent = read.is_some_and(|event| sender.blocking_send(event).is_ok());
                    if !sent {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    (receiver, alive)
}
