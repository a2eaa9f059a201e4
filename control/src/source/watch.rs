//! Tells that something below a directory may have changed.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Weak};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::Notify;
use tracing::warn;

/// How soon the waiting thread sees that nobody listens any more, milliseconds.
const CHECK: u16 = 500;

/// Kernel notifications for folders. Where the kernel gives none, the caller's own poll finds
/// the changes; only later.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<Arc<Inotify>>,
    notify: Arc<Notify>,
}

impl Watch {
    /// Begins without folders. A thread waits for the kernel as long as the value lives.
    pub fn start() -> Self {
        let notify = Arc::new(Notify::new());
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map(Arc::new);
        let started = inotify.map_err(std::io::Error::from).and_then(|inotify| {
            let (weak, bell) = (Arc::downgrade(&inotify), notify.clone());
            let thread = std::thread::Builder::new().name("directory-watch".to_owned());
            thread.spawn(move || wait(&weak, &bell)).map(|_| inotify)
        });
        let inotify = started
            .inspect_err(|error| {
                warn!(%error, "no notifications of file changes; the directory is polled");
            })
            .ok();
        Self { inotify, notify }
    }

    /// Watches a folder; twice is once.
    pub fn add(&self, folder: &Path) {
        let Some(inotify) = &self.inotify else { return };
        let mask = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        if let Err(error) = inotify.add_watch(folder, mask) {
            warn!(folder = %folder.display(), %error, "cannot watch folder; it is polled");
        }
    }

    /// Waits for a notification.
    ///
    /// Cancel safe.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

fn wait(inotify: &Weak<Inotify>, bell: &Notify) {
    while let Some(inotify) = inotify.upgrade() {
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(CHECK)) {
            Ok(0) | Err(Errno::EINTR) => {}
            // Whatever the events say, everything is looked at: also after an overflow.
            Ok(_) => {
                let _ = inotify.read_events();
                bell.notify_one();
            }
            Err(error) => {
                warn!(%error, "no more notifications of file changes; the directory is polled");
                return;
            }
        }
    }
}
