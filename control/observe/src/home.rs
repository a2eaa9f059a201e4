//! A proxy calls control, and answers there.

use std::sync::Arc;
use std::time::Duration;

use hbone::channel::{AuthorizedChannel, ControlPlane};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::pb::fleet_service_client::FleetServiceClient;
use crate::pb::{FromProxy, Hello, Question, Reply, from_proxy, reply, to_proxy};
use crate::recorder::{Happened, Recorder};

/// First pause before another call; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Questions that are answered at a time: each may read files.
const AT_ONCE: usize = 2;
/// Messages that wait to be sent.
const QUEUE: usize = 64;

/// Calls, answers, and calls again when the call ends, until `quit`. What the proxy remembers
/// does not depend on it.
pub async fn run(recorder: Recorder, control: ControlPlane, quit: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let ended = tokio::select! {
            () = quit.cancelled() => return,
            ended = call(&recorder, &control) => ended,
        };
        let wait = jittered(pause);
        match ended {
            // A control plane of before, or one that does not lead: there may be another soon.
            Err(error) => {
                debug!(%error, ?wait, "control does not ask for what is remembered here");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Ok(()) => pause = FIRST_PAUSE,
        }
        tokio::select! {
            () = quit.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// So that a fleet does not come back as one.
fn jittered(pause: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    pause.mul_f64(0.75 + f64::from(nanos % 1_000) / 2_000.0)
}

async fn call(recorder: &Recorder, control: &ControlPlane) -> Result<(), String> {
    let channel = control.connect().await.map_err(|error| error.to_string())?;
    let mut client: FleetServiceClient<AuthorizedChannel> = FleetServiceClient::new(channel);
    let (answers, to_send) = mpsc::channel(QUEUE);
    let hello = Hello { origin: Some(recorder.origin().clone()) };
    let hello = FromProxy { message: Some(from_proxy::Message::Hello(hello)) };
    answers.send(hello).await.map_err(|error| error.to_string())?;
    let attached = client.attach(ReceiverStream::new(to_send)).await;
    let mut questions = attached.map_err(|status| status.to_string())?.into_inner();
    info!("control asks for what is remembered here");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut happens = recorder.watch();
    let mut follows = false;
    loop {
        tokio::select! {
            asked = questions.message() => match asked.map_err(|status| status.to_string())? {
                None => return Ok(()),
                Some(asked) => match asked.message {
                    Some(to_proxy::Message::Question(question)) => {
                        let (recorder, answers) = (recorder.clone(), answers.clone());
                        let room = Arc::clone(&room);
                        tokio::spawn(async move { answer(recorder, question, answers, room).await });
                    }
                    Some(to_proxy::Message::Follow(follow)) => follows = follow,
                    None => {}
                },
            },
            happened = happens.recv() => match happened {
                Ok(happened) if follows => tell(&answers, &happened),
                // Some were missed: they are in the ring all the same.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}

async fn answer(
    recorder: Recorder,
    question: Question,
    answers: mpsc::Sender<FromProxy>,
    room: Arc<Semaphore>,
) {
    // Control has given up by the time that a queue of them would be answered.
    let Ok(_permit) = room.acquire().await else { return };
    let result = match question.query {
        Some(query) => match recorder.answer_whole(query).await {
            Ok(answer) => reply::Result::Answer(answer),
            Err(error) => reply::Result::Error(error),
        },
        None => reply::Result::Error("the question is empty".to_owned()),
    };
    let reply = Reply { id: question.id, result: Some(result) };
    let _ = answers.send(FromProxy { message: Some(from_proxy::Message::Reply(reply)) }).await;
}

/// Tells control at once, unless it does not read.
fn tell(answers: &mpsc::Sender<FromProxy>, happened: &Happened) {
    let message = match happened {
        Happened::Incident(incident) => from_proxy::Message::Incident((**incident).clone()),
        Happened::Event(event) => from_proxy::Message::Event((**event).clone()),
    };
    let _ = answers.try_send(FromProxy { message: Some(message) });
}
