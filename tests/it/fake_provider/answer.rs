//! Answers as lists of pieces, each with the tokens that go into it: bodies and errors here, streams in
//! `stream.rs`. JSON is written as text, so that it can say things that no honest serializer would.

use bytes::Bytes;

use super::behaviour::{Answer, Behaviour, Report};
use super::bill::provider_request_id;
use super::request::ChatRequest;
use super::stream;
use super::work::Work;

/// What is sent after the head in one go, and the tokens generated for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) output: u64,
}

/// A response ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) pieces: Vec<Piece>,
    /// Tokens generated before the head is sent.
    pub(super) output_before_head: u64,
    pub(super) chunked: bool,
    pub(super) missing_bytes: u64,
    /// Whether sending everything means that the call was worked on to its end.
    pub(super) completes: bool,
    pub(super) closes: bool,
}

impl Response {
    /// A body with its length, in one piece, with the headers that OpenAI sends along.
    pub(super) fn new(index: u64, status: u16, content_type: &str, body: impl Into<Bytes>) -> Response {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("x-request-id", provider_request_id(index)),
            ("openai-organization", "fake-organization".to_owned()),
            ("openai-processing-ms", "7".to_owned()),
            ("openai-version", "2020-10-01".to_owned()),
            ("x-ratelimit-limit-requests", "10000".to_owned()),
            ("x-ratelimit-remaining-requests", "9999".to_owned()),
            ("set-cookie", "__cf_bm=fake-cookie; path=/; HttpOnly".to_owned()),
        ];
        Response {
            status,
            headers,
            pieces: vec![Piece { bytes: body.into(), output: 0 }],
            output_before_head: 0,
            chunked: false,
            missing_bytes: 0,
            completes: true,
            closes: false,
        }
    }

    /// OpenAI's error body.
    pub(super) fn error(index: u64, status: u16, message: &str) -> Response {
        Response::new(index, status, "application/json", error_json(status, message))
    }

    /// The head on the wire.
    pub(super) fn head(&self, closes: bool) -> Bytes {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked {
            head.push_str("transfer-encoding: chunked\r\n");
        } else {
            let length =
                self.pieces.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>() + self.missing_bytes;
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str(if closes { "connection: close\r\n\r\n" } else { "\r\n" });
        Bytes::from(head)
    }

    /// All tokens generated for it.
    pub(super) fn output(&self) -> u64 {
        self.pieces.iter().fold(self.output_before_head, |sum, piece| sum.saturating_add(piece.output))
    }

    /// Everything after the head as one piece.
    fn joined(mut self) -> Response {
        let output = self.pieces.iter().map(|piece| piece.output).sum();
        let bytes = self.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
        self.pieces = vec![Piece { bytes, output }];
        self
    }
}

/// Who asks, for answers that repeat it.
pub(super) struct Asker<'a> {
    pub(super) index: u64,
    pub(super) api_key: &'a str,
    pub(super) base_url: &'a str,
}

/// The answer to a chat request.
pub(super) fn compose(
    asker: &Asker<'_>,
    behaviour: &Behaviour,
    request: &ChatRequest,
    work: &Work,
) -> Response {
    let index = asker.index;
    let mut response = match &behaviour.answer {
        Answer::Completion if request.stream => stream::response(index, behaviour, request, work),
        Answer::Completion => completion(index, behaviour, request, work),
        Answer::Status { status, retry_after, leaks_key } => {
            failure(asker, *status, *retry_after, *leaks_key)
        }
        Answer::Redirect { status } => redirect(asker, *status),
        Answer::Raw { status, content_type, body } => {
            let raw = Response::new(index, *status, content_type, body.clone());
            Response { output_before_head: work.output_of_all(), ..raw }
        }
        Answer::Flood { megabytes, in_lines } => flood(index, *megabytes, *in_lines, request, work),
    };
    let shape = &behaviour.shape;
    if let (Some(value), Some(header)) = (&shape.content_type, response.headers.first_mut()) {
        header.1.clone_from(value);
    }
    if shape.claims_gzip {
        response.headers.push(("content-encoding", "gzip".to_owned()));
    }
    response.missing_bytes = shape.missing_bytes;
    response.closes = shape.closes || shape.missing_bytes > 0;
    response.chunked |= shape.body_chunked;
    if shape.one_write { response.joined() } else { response }
}

fn completion(index: u64, behaviour: &Behaviour, request: &ChatRequest, work: &Work) -> Response {
    if behaviour.error_after.is_some() {
        let error = Response::new(
            index,
            200,
            "application/json",
            error_json(500, "the model failed while it answered"),
        );
        return Response { completes: false, ..error };
    }
    let choices: Vec<String> = (0..work.choices).map(|choice| choice_json(choice, behaviour, work)).collect();
    let usage = match &behaviour.report {
        Report::Truth | Report::Early | Report::Running => {
            format!(r#","usage":{}"#, work.usage(work.output_of_all()))
        }
        Report::Nothing => String::new(),
        Report::Json(text) => format!(r#","usage":{text}"#),
        Report::TwiceFirst(text) => {
            format!(r#","usage":{text},"usage":{}"#, work.usage(work.output_of_all()))
        }
    };
    let mut body = format!(
        r#"{{"id":"chatcmpl-fake{index}","object":"chat.completion","created":1700000000,"model":{},"choices":[{}]{usage},"service_tier":"default","system_fingerprint":"fp_fake"}}"#,
        quoted(&request.model),
        choices.join(","),
    );
    if behaviour.shape.malformed {
        body.truncate(body.len() - 2);
    }
    let mut second = Bytes::from(body);
    let first = second.split_to(second.len() / 2);
    let mut response = Response::new(index, 200, "application/json", first);
    response.pieces.push(Piece { bytes: second, output: 0 });
    Response { output_before_head: work.output_of_all(), ..response }
}

fn choice_json(choice: u64, behaviour: &Behaviour, work: &Work) -> String {
    let text = quoted(&work.whole_text());
    let message = if behaviour.shape.tool_call {
        format!(
            r#""content":null,"tool_calls":[{{"id":"call_fake","type":"function","function":{{"name":"lookup","arguments":{text}}}}}]"#
        )
    } else {
        format!(r#""content":{text}"#)
    };
    let finish = finish_reason(behaviour, work);
    format!(
        r#"{{"index":{choice},"message":{{"role":"assistant",{message},"refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}"#
    )
}

/// OpenAI's word for why a choice ended.
pub(super) fn finish_reason(behaviour: &Behaviour, work: &Work) -> &'static str {
    match (work.at_limit, behaviour.shape.tool_call) {
        (true, _) => "length",
        (false, true) => "tool_calls",
        (false, false) => "stop",
    }
}

fn failure(asker: &Asker<'_>, status: u16, retry_after: Option<u64>, leaks_key: bool) -> Response {
    let message = match (leaks_key, status) {
        (true, _) => format!("Incorrect API key provided: {}.", asker.api_key),
        (false, 401) => "Incorrect API key provided.".to_owned(),
        (false, 429) => "Rate limit reached for requests.".to_owned(),
        (false, 500..) => "The server had an error while processing your request.".to_owned(),
        (false, _) => "Your request was refused.".to_owned(),
    };
    let mut response = Response::error(asker.index, status, &message);
    response.headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    response
        .headers
        .extend(leaks_key.then(|| ("x-debug-authorization", format!("Bearer {}", asker.api_key))));
    response
}

fn redirect(asker: &Asker<'_>, status: u16) -> Response {
    let mut response = Response::new(asker.index, status, "text/html", "<html>moved</html>");
    response.headers.push(("location", format!("{}/redirected/chat/completions", asker.base_url)));
    response
}

/// Padding in pieces of 64 KiB: whole events or one endless line in a stream, else one JSON body. Billed as
/// planned.
fn flood(index: u64, megabytes: usize, in_lines: bool, request: &ChatRequest, work: &Work) -> Response {
    let padding = "x".repeat(64 * 1024);
    let (before, each, after) = match (request.stream, in_lines) {
        (true, true) => (
            String::new(),
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{padding}\"}}}}]}}\n\n"),
            "data: [DONE]\n\n",
        ),
        (true, false) => (
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"".to_owned(),
            padding,
            "\"}}]}\n\ndata: [DONE]\n\n",
        ),
        (false, _) => (
            "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"".to_owned(),
            padding,
            "\"}}]}",
        ),
    };
    let each = Piece { bytes: Bytes::from(each), output: 0 };
    let content_type = if request.stream { "text/event-stream" } else { "application/json" };
    let mut response = Response::new(index, 200, content_type, before);
    response.pieces.extend(std::iter::repeat_n(each, megabytes * 16));
    response.pieces.push(Piece { bytes: Bytes::from_static(after.as_bytes()), output: 0 });
    response.pieces.retain(|piece| !piece.bytes.is_empty());
    Response { output_before_head: work.output_of_all(), chunked: true, ..response }
}

/// `{"error":{…}}` with OpenAI's words for this status.
pub(super) fn error_json(status: u16, message: &str) -> String {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "\"invalid_api_key\""),
        404 => ("invalid_request_error", "\"model_not_found\""),
        429 => ("requests", "\"rate_limit_exceeded\""),
        500.. => ("server_error", "null"),
        _ => ("invalid_request_error", "null"),
    };
    format!(r#"{{"error":{{"message":{},"type":"{kind}","param":null,"code":{code}}}}}"#, quoted(message))
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
