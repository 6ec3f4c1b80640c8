//! The streams that a client opens towards the gateway alone (RFC 9114 section 6.2).

use std::cell::Cell;
use std::rc::Rc;

use quinn::RecvStream;
use sluice_http3::{Code, Settings, kind, uni_stream, varint};

use super::connection::Arrival;
use super::frames::{Broken, Frames};

/// Longest payload of a frame that is collected: settings of every extension there is take a fraction of it.
const PAYLOAD_LIMIT: u64 = 4 * 1024;

/// Which of the streams that may exist once were opened.
#[derive(Default)]
pub(super) struct Opened {
    control: Cell<bool>,
    encoder: Cell<bool>,
    decoder: Cell<bool>,
}

/// Reads one of these streams to its end.
pub(super) async fn read(arrival: Rc<Arrival>, stream: RecvStream) {
    let mut frames = Frames::new(&arrival.shared, stream);
    if let Err(broken) = stream_of(&arrival, &mut frames).await {
        arrival.broken(broken);
    }
}

async fn stream_of(arrival: &Arrival, frames: &mut Frames) -> Result<(), Broken> {
    // A stream may end before it says what it is.
    let Ok(Some(kind)) = frames.integer().await else { return Ok(()) };
    let opened = &arrival.opened;
    let slot = match kind {
        uni_stream::CONTROL => &opened.control,
        uni_stream::QPACK_ENCODER => &opened.encoder,
        uni_stream::QPACK_DECODER => &opened.decoder,
        // A client cannot push.
        uni_stream::PUSH => return Err(Broken::Protocol(Code::H3_STREAM_CREATION_ERROR)),
        _ => {
            frames.stop(Code::H3_STREAM_CREATION_ERROR);
            return Ok(());
        }
    };
    if slot.replace(true) {
        return Err(Broken::Protocol(Code::H3_STREAM_CREATION_ERROR));
    }
    let ended = match kind {
        uni_stream::CONTROL => control(arrival, frames).await,
        // With a table of capacity 0 there is nothing to be instructed about.
        _ => frames.discard().await,
    };
    match ended {
        Err(Broken::Protocol(code)) => Err(Broken::Protocol(code)),
        _ => Err(Broken::Protocol(Code::H3_CLOSED_CRITICAL_STREAM)),
    }
}

async fn control(arrival: &Arrival, frames: &mut Frames) -> Result<(), Broken> {
    let mut settled = false;
    let mut pushes = None;
    let mut goodbye = None;
    while let Some(header) = frames.next().await? {
        if !settled && header.kind != kind::SETTINGS {
            return Err(Broken::Protocol(Code::H3_MISSING_SETTINGS));
        }
        if header.length > PAYLOAD_LIMIT {
            return Err(Broken::Protocol(Code::H3_EXCESSIVE_LOAD));
        }
        match header.kind {
            kind::SETTINGS if settled => return Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED)),
            kind::SETTINGS => {
                settled = true;
                let settings = Settings::read(&frames.collect().await?).map_err(Broken::Protocol)?;
                arrival.section_limit.set(settings.max_field_section_size.unwrap_or(u64::MAX));
            }
            kind::MAX_PUSH_ID => {
                let id = single(&frames.collect().await?)?;
                // It must not go down (section 7.2.7).
                if pushes.replace(id).is_some_and(|last| id < last) {
                    return Err(Broken::Protocol(Code::H3_ID_ERROR));
                }
            }
            kind::GOAWAY => {
                let id = single(&frames.collect().await?)?;
                // It must not go up (section 5.2). The client opens no more requests; those that are open go on.
                if goodbye.replace(id).is_some_and(|last| id > last) {
                    return Err(Broken::Protocol(Code::H3_ID_ERROR));
                }
            }
            // No push was ever promised.
            kind::CANCEL_PUSH => return Err(Broken::Protocol(Code::H3_ID_ERROR)),
            _ => return Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED)),
        }
    }
    Ok(())
}

/// The one integer that a payload is.
fn single(payload: &[u8]) -> Result<u64, Broken> {
    match varint::read(payload) {
        Some((value, length)) if length == payload.len() => Ok(value),
        _ => Err(Broken::Protocol(Code::H3_FRAME_ERROR)),
    }
}
