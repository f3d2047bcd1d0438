//! Rung 14: the device after its owner was killed.

use std::sync::Arc;

use hwpool_devices::bus::Transport;

use super::evidence::{Evidence, Failure};
use super::ladder::Session;
use super::{Board, lists, portal};

/// Has another process drive the device, kills it in the middle of its traffic, and opens the device again.
///
/// Gets the transport, which nobody else holds, since a function has one owner at a time; returns it, opened again, and
/// what it has to say. Without a transport the climb ends.
pub type Kill<'a, T> =
    Box<dyn FnMut(Arc<T>, &mut Evidence) -> (Option<Arc<T>>, Result<(), Failure>) + 'a>;

/// Kills an owner, and has the rungs of lists and portals pass again.
pub(super) fn killed<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let Some(kill) = &mut board.kill else {
        return Err(Failure::Skip(
            "there is no other process that could own the device".into(),
        ));
    };
    if let Some(session) = board.session.take() {
        session.bmu.close()?;
    }
    let Some(transport) = board.transport.take() else {
        return Err(Failure::Fail("the device was not opened".into()));
    };
    let (transport, result) = kill(transport, evidence);
    board.transport = transport.clone();
    if let Some(transport) = transport {
        let session = Session::open(transport)?;
        session.bmu.start()?;
        board.session = Some(session);
    }
    result?;
    let again = [lists::stale, lists::single, lists::capacity, portal::unique];
    for check in again {
        match check(board, &mut Evidence::default()) {
            Ok(()) | Err(Failure::Skip(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    evidence.text(
        "passed again",
        "lists.stale, lists.single, lists.capacity, portal.unique",
    );
    Ok(())
}
