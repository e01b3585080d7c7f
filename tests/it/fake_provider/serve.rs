//! One connection's life: idle, a request, what the script says about it, again. Everything that can be
//! waited for here is given up when the client hangs up, and what was generated until then is what is billed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;

use super::answer::{Asker, Piece, Response, compose};
use super::behaviour::{At, Behaviour, How, Pace};
use super::bill::{Ending, NewCall, OpenCall};
use super::lock;
use super::peer::{Gone, NoRequest, Peer};
use super::phase::Phase;
use super::request::{ChatRequest, SeenRequest};
use super::state::State;
use super::work::Work;

/// Serves one connection until either side has had enough.
pub(super) async fn connection(state: Arc<State>, stream: TcpStream) {
    state.accepted.fetch_add(1, Ordering::SeqCst);
    let open = state.open.enter();
    state.tick();
    talk(&state, Peer::new(stream)).await;
    drop(open);
    state.tick();
}

async fn talk(state: &Arc<State>, mut peer: Peer) {
    if let Some(how) = state.script.next_unread(&[At::Accept]) {
        return peer.break_off(how).await;
    }
    while idle(state, &peer).await.is_ok() {
        if let Some(how) = state.script.next_unread(&[At::Accept, At::Unread]) {
            return peer.break_off(how).await;
        }
        let seen = match peer.read_request().await {
            Ok(raw) => state.saw(raw),
            Err(NoRequest::Gone) => return,
            Err(NoRequest::Malformed(why)) => {
                // A gateway must never get here; the words are for whoever looks for the reason.
                let _ = peer
                    .write(format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{why}").as_bytes())
                    .await;
                return;
            }
        };
        let then = answer(state, &mut peer, &seen).await;
        state.tick();
        match then {
            Ok(Then::KeepAlive) => {}
            Ok(Then::Close) | Err(Gone) => return,
            Ok(Then::BreakOff(how)) => return peer.break_off(how).await,
        }
    }
}

/// Waits for a request's first byte, unless connections are refused.
async fn idle(state: &State, peer: &Peer) -> Result<(), Gone> {
    let _idle = state.idle.enter();
    let mut refusing = state.refusing.subscribe();
    tokio::select! {
        biased;
        _ = refusing.wait_for(|refusing| *refusing) => Err(Gone),
        arrived = peer.first_byte() => arrived,
    }
}

/// What becomes of the connection.
enum Then {
    KeepAlive,
    Close,
    BreakOff(How),
}

async fn answer(state: &Arc<State>, peer: &mut Peer, seen: &SeenRequest) -> Result<Then, Gone> {
    let act = prepare(state, seen);
    let phases = Phases { state, request: seen.index, user: act.user.clone() };
    let planned = act.response.output();
    let mut generated = 0;
    let result = act.play(peer, &phases, &mut generated).await;
    if let Ok(Then::BreakOff(_)) = result {
        act.end(Ending::Cut);
        phases.announce(Phase::BrokeOff);
    }
    if result.is_err() {
        if act.finishes_unheard {
            act.generate(planned.saturating_sub(generated), &mut generated);
        }
        act.end(Ending::Cut);
        phases.announce(Phase::HungUp);
    }
    result
}

/// Decides what is answered, and opens the bill.
fn prepare(state: &Arc<State>, seen: &SeenRequest) -> Act {
    let path = seen.path.split('?').next().unwrap_or_default();
    if path.contains("/redirected/") {
        state.redirects_followed.fetch_add(1, Ordering::SeqCst);
    }
    let Some(api_key) = seen.bearer().filter(|key| lock(&state.keys).iter().any(|accepted| accepted == key))
    else {
        return Act::plain(seen, Response::error(seen.index, 401, "Incorrect API key provided."));
    };
    match (seen.method.as_str(), path) {
        ("POST", "/v1/chat/completions" | "/v1/redirected/chat/completions") => chat(state, seen, api_key),
        ("GET", "/v1/models") => Act::plain(seen, models(state, seen.index)),
        (method, path) => {
            Act::plain(seen, Response::error(seen.index, 404, &format!("Invalid URL ({method} {path})")))
        }
    }
}

fn models(state: &State, index: u64) -> Response {
    let one = |model: String| serde_json::json!({"id": model, "object": "model", "created": 1_700_000_000, "owned_by": "fake"});
    let models: Vec<_> = state.books.models().into_iter().map(one).collect();
    let list = serde_json::json!({"object": "list", "data": models});
    Response::new(index, 200, "application/json", list.to_string())
}

fn chat(state: &Arc<State>, seen: &SeenRequest, api_key: &str) -> Act {
    let refuse = |status, message: &str| Act::plain(seen, Response::error(seen.index, status, message));
    let is_json = seen.header("content-type").is_some_and(|value| value.starts_with("application/json"));
    if !is_json {
        return refuse(400, "you must send 'content-type: application/json'");
    }
    let request = match ChatRequest::parse(&seen.body) {
        Ok(request) => request,
        Err(message) => return refuse(400, &message),
    };
    if !state.books.has_model(&request.model) {
        let message =
            format!("The model `{}` does not exist (no set_price in the fake provider).", request.model);
        return refuse(404, &message);
    }
    // Who follows a redirect is served, so that it shows on the bill too.
    let is_redirected = seen.path.contains("/redirected/");
    let behaviour = if is_redirected { Behaviour::default() } else { state.script.next(&request) };
    let work = Work::plan(&behaviour, &request);
    let asker = Asker { index: seen.index, api_key, base_url: &state.base_url() };
    let response = compose(&asker, &behaviour, &request, &work);
    let new = NewCall {
        request: seen.index,
        api_key: api_key.to_owned(),
        model: request.model,
        user: request.user.clone(),
        prompt_tokens: work.prompt,
        cached_tokens: work.cached,
    };
    let call = behaviour.is_billed().then(|| state.books.open(new));
    Act { user: request.user, call, ..Act::scripted(seen, response, &behaviour) }
}

/// Everything needed to answer one request.
struct Act {
    response: Response,
    user: Option<String>,
    call: Option<OpenCall>,
    pace: Pace,
    break_at: Option<(At, How)>,
    split_every: Option<usize>,
    finishes_unheard: bool,
    closes: bool,
}

impl Act {
    fn plain(seen: &SeenRequest, response: Response) -> Act {
        Act::scripted(seen, response, &Behaviour::default())
    }

    fn scripted(seen: &SeenRequest, response: Response, behaviour: &Behaviour) -> Act {
        Act {
            closes: response.closes || seen.wants_close(),
            response,
            user: None,
            call: None,
            pace: behaviour.pace,
            break_at: behaviour.break_at,
            split_every: behaviour.shape.split_every,
            finishes_unheard: behaviour.finishes_unheard,
        }
    }

    async fn play(&self, peer: &mut Peer, phases: &Phases<'_>, generated: &mut u64) -> Result<Then, Gone> {
        phases.reach(peer, Phase::Received).await?;
        if let Some(how) =
            self.breaks_at(At::Read).or(self.breaks_at(At::Unread)).or(self.breaks_at(At::Accept))
        {
            return Ok(Then::BreakOff(how));
        }
        peer.pause(self.pace.first_byte).await?;
        self.generate(self.response.output_before_head, generated);
        self.send(peer, &self.response.head(self.closes)).await?;
        phases.reach(peer, Phase::FirstByte).await?;
        if let Some(how) = self.breaks_at(At::Head) {
            return self.break_body(peer, how).await;
        }
        let count = self.response.pieces.len();
        for (piece, number) in self.response.pieces.iter().zip(1..) {
            let is_last = number == count;
            if is_last {
                phases.reach(peer, Phase::BeforeLast).await?;
            }
            if let Some(how) = self.breaks_at(At::BeforeLast).filter(|_| is_last) {
                return self.break_body(peer, how).await;
            }
            peer.pause(self.pace.each_chunk).await?;
            self.generate(piece.output, generated);
            if let Some(how) = self.breaks_at(At::Inside(number)) {
                self.send_half(peer, piece).await?;
                return Ok(Then::BreakOff(how));
            }
            if is_last {
                return self.send_last(peer, phases, piece).await;
            }
            self.send_piece(peer, piece, "").await?;
            phases.reach(peer, Phase::MidStream(number)).await?;
            if let Some(how) = self.breaks_at(At::Chunk(number)) {
                return self.break_body(peer, how).await;
            }
        }
        Ok(Then::Close)
    }

    fn breaks_at(&self, point: At) -> Option<How> {
        self.break_at.filter(|(at, _)| *at == point).map(|(_, how)| how)
    }

    fn generate(&self, tokens: u64, generated: &mut u64) {
        *generated = generated.saturating_add(tokens);
        if let Some(call) = &self.call {
            call.generated(tokens);
        }
    }

    fn end(&self, ending: Ending) {
        if let Some(call) = &self.call {
            call.end(ending);
        }
    }

    /// The bill is closed before the last bytes leave, so that who has read the answer finds it closed.
    async fn send_last(&self, peer: &mut Peer, phases: &Phases<'_>, piece: &Piece) -> Result<Then, Gone> {
        self.end(if self.response.completes { Ending::Complete } else { Ending::Cut });
        let terminator = if self.response.chunked { "0\r\n\r\n" } else { "" };
        self.send_piece(peer, piece, terminator).await?;
        phases.announce(Phase::LastByte);
        Ok(if self.closes { Then::Close } else { Then::KeepAlive })
    }

    async fn break_body(&self, peer: &mut Peer, how: How) -> Result<Then, Gone> {
        if how == How::End && self.response.chunked {
            self.end(Ending::Cut);
            self.send(peer, b"0\r\n\r\n").await?;
            return Ok(if self.closes { Then::Close } else { Then::KeepAlive });
        }
        Ok(Then::BreakOff(how))
    }

    async fn send_piece(&self, peer: &mut Peer, piece: &Piece, terminator: &str) -> Result<(), Gone> {
        let size = self.split_every.unwrap_or(piece.bytes.len()).max(1);
        for part in piece.bytes.chunks(size) {
            self.send(peer, &self.framed(part)).await?;
        }
        self.send(peer, terminator.as_bytes()).await
    }

    /// Half of the bytes, in a frame that promises all of them.
    async fn send_half(&self, peer: &mut Peer, piece: &Piece) -> Result<(), Gone> {
        let mut framed = self.framed(&piece.bytes);
        framed.truncate(framed.len() - piece.bytes.len().div_ceil(2));
        self.send(peer, &framed).await
    }

    fn framed(&self, bytes: &[u8]) -> Bytes {
        if !self.response.chunked {
            return Bytes::copy_from_slice(bytes);
        }
        let mut framed = BytesMut::with_capacity(bytes.len() + 16);
        framed.put_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        framed.put_slice(bytes);
        framed.put_slice(b"\r\n");
        framed.freeze()
    }

    async fn send(&self, peer: &mut Peer, bytes: &[u8]) -> Result<(), Gone> {
        let Some(delay) = self.pace.trickle else { return peer.write(bytes).await };
        for byte in bytes {
            peer.write(&[*byte]).await?;
            if delay.is_zero() {
                peer.wait(tokio::task::yield_now()).await?;
            } else {
                peer.pause(delay).await?;
            }
        }
        Ok(())
    }
}

/// Announces the phases of one request and waits at the gates.
struct Phases<'a> {
    state: &'a State,
    request: u64,
    user: Option<String>,
}

impl Phases<'_> {
    fn announce(&self, phase: Phase) {
        self.state.announce(self.request, self.user.clone(), phase);
    }

    async fn reach(&self, peer: &mut Peer, phase: Phase) -> Result<(), Gone> {
        let gate = self.state.gates.enter(phase, self.request);
        self.announce(phase);
        let Some(gate) = gate else { return Ok(()) };
        let released = peer.wait(gate).await;
        self.state.gates.leave(phase, self.request);
        released.map(drop)
    }
}
