//! What a handler has in hand: who asks, in which request, and the gateway. Every handler takes it
//! first, so that nothing of a request is read before its sender proved to be a manager.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use nemo_events::{CallId, KeyId, OrgId, Position, Right};
use nemo_projections::OrgState;
use nemo_projections::decide::{CreateOrg, KeyCommand, OrgCommand};
use nemo_read_model::{Answer, Limit, PageRequest, ReadModelError, Reader};
use tokio::sync::oneshot;

use super::failures;
use crate::app::App;
use crate::auth::manager::Manager;
use crate::error::{Failure, FailureReply};
use crate::ledger::{Context, Done, ExecuteError, KeyAccount};
use crate::read_side::Unread;
use crate::request_id;

/// What every handler answers with.
pub(crate) type Reply = Result<HttpResponse, FailureReply>;

/// A manager's request.
pub(crate) struct Asked {
    app: web::Data<App>,
    manager: Manager,
    request: HttpRequest,
}

impl FromRequest for Asked {
    type Error = FailureReply;
    type Future = Ready<Result<Self, FailureReply>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let AskedAnyTime(asked) = match AskedAnyTime::from_request(request, payload).into_inner() {
            Ok(asked) => asked,
            Err(refused) => return ready(Err(refused)),
        };
        ready(match asked.app.lifecycle.why_not_started() {
            None => Ok(asked),
            Some(why) => Err(asked.refused(Failure::ledger_unavailable(&why))),
        })
    }
}

/// The same, also while the node starts: for what tells where the start stands and nothing of the ledger.
pub(crate) struct AskedAnyTime(pub(crate) Asked);

impl FromRequest for AskedAnyTime {
    type Error = FailureReply;
    type Future = Ready<Result<Self, FailureReply>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let manager = Manager::from_request(request, payload).into_inner();
        let app = request.app_data::<web::Data<App>>().cloned();
        let app = app.ok_or_else(|| FailureReply::to(request, Failure::internal()));
        ready(manager.and_then(|manager| Ok(Self(Asked { app: app?, manager, request: request.clone() }))))
    }
}

impl Asked {
    /// The gateway.
    pub(crate) const fn app(&self) -> &web::Data<App> {
        &self.app
    }

    /// On whose behalf commands are executed.
    pub(crate) fn context(&self) -> Context {
        self.manager.context(request_id::of(&self.request))
    }

    /// Whether whoever asks may do that: the master key all, a person what their role has.
    pub(crate) fn may(&self, right: Right) -> bool {
        self.manager.viewer().is_none_or(|viewer| viewer.role.may(right))
    }

    /// Where applications send their calls, as far as this request tells: it came to the same place, unless
    /// managers have one of their own.
    pub(crate) fn inference_url(&self) -> String {
        let server = &self.app.config.server;
        let connection = self.request.connection_info();
        match server.management_listen {
            None => format!("{}://{}", connection.scheme(), connection.host()),
            Some(_) => format!("{}://{}", connection.scheme(), server.listen),
        }
    }

    /// A failure as a reply to this request.
    pub(crate) fn refused(&self, failure: Failure) -> FailureReply {
        FailureReply::to(&self.request, failure)
    }

    /// A command's error as a reply to this request.
    pub(crate) fn not_executed(&self, error: &ExecuteError) -> FailureReply {
        self.refused(failures::of_command(error))
    }

    /// The key in the path, with or without its `key_`.
    pub(crate) fn key_id(&self) -> Result<KeyId, FailureReply> {
        self.path_id().parse().map_err(|_| self.refused(failures::no_such_key()))
    }

    /// The key in the path, if there is one of that id.
    pub(crate) async fn existing_key(&self) -> Result<KeyId, FailureReply> {
        let id = self.key_id()?;
        let account = self.app.ledger.key(id).await.map_err(|error| self.not_executed(&error))?;
        if account.revision().is_some() { Ok(id) } else { Err(self.refused(failures::no_such_key())) }
    }

    /// The org in the path.
    pub(crate) fn org_id(&self) -> Result<OrgId, FailureReply> {
        self.path_id().parse().map_err(|_| self.refused(failures::no_such_org()))
    }

    /// The call in the path.
    pub(crate) fn call_id(&self) -> Result<CallId, FailureReply> {
        self.path_id().parse().map_err(|_| self.refused(failures::no_such_call()))
    }

    /// Executes a command on a key.
    pub(crate) async fn manage_key<C: KeyCommand + Send + 'static>(
        &self,
        id: KeyId,
        command: C,
    ) -> Result<Done<KeyAccount>, FailureReply> {
        let done = self.app.ledger.manage_key(id, command, self.context()).await;
        done.map_err(|error| self.not_executed(&error))
    }

    /// Executes a command on an org that exists.
    pub(crate) async fn manage_org<C: OrgCommand + Send + 'static>(
        &self,
        id: OrgId,
        command: C,
    ) -> Result<Done<OrgState>, FailureReply> {
        let account = self.app.ledger.org(id).await.map_err(|error| self.not_executed(&error))?;
        if account.revision().is_none() {
            return Err(self.refused(failures::no_such_org()));
        }
        self.execute_on_org(id, command).await
    }

    /// Creates an org.
    pub(crate) async fn create_org(
        &self,
        id: OrgId,
        command: CreateOrg,
    ) -> Result<Done<OrgState>, FailureReply> {
        self.execute_on_org(id, command).await
    }

    /// A position at which everything that an answer rests on can be read: that of the command's own
    /// append, or, where it changed nothing, the ledger's end.
    pub(crate) async fn position_of<T>(&self, done: &Done<T>) -> Result<Position, FailureReply> {
        if let Some(position) = done.position {
            return Ok(position);
        }
        let head = self.app.ledger.store().head().await;
        let head = head.map_err(|error| self.not_executed(&ExecuteError::Unavailable(error.to_string())))?;
        Ok(head.unwrap_or(Position(0)))
    }

    /// Asks the read model, once it has got to `min_position`.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        min_position: Option<u64>,
        ask: impl FnOnce(&Reader) -> Result<Answer<T>, ReadModelError> + Send + 'static,
    ) -> Result<Answer<T>, FailureReply> {
        let unread = |error: Unread| self.refused(failures::of_read(&error));
        if let Some(position) = min_position {
            self.app.read_side.reach(Position(position)).await.map_err(unread)?;
        }
        self.app.read_side.read(ask).await.map_err(unread)
    }

    /// Does work to its end even if the client hangs up meanwhile.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, FailureReply> {
        let (done, answer) = oneshot::channel();
        self.app.ledger.spawn(async move {
            // Whoever hung up needs no answer.
            let _ = done.send(work.await);
        });
        answer.await.map_err(|_| self.refused(Failure::internal()))
    }

    /// The page that a query string asks for: 50 rows unless it says otherwise, 200 at most.
    pub(crate) fn page(
        &self,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<PageRequest, FailureReply> {
        let after = cursor.map(str::parse).transpose();
        let after = after.map_err(|_| self.refused(failures::of_read(&Unread::InvalidCursor)))?;
        Ok(PageRequest { after, limit: limit.map(Limit::at_most).unwrap_or_default() })
    }

    async fn execute_on_org<C: OrgCommand + Send + 'static>(
        &self,
        id: OrgId,
        command: C,
    ) -> Result<Done<OrgState>, FailureReply> {
        let done = self.app.ledger.manage_org(id, command, self.context()).await;
        let Done { answer, revision, position } = done.map_err(|error| self.not_executed(&error))?;
        let answer = answer.ok_or_else(|| self.refused(failures::no_such_org()))?;
        Ok(Done { answer, revision, position })
    }

    /// This gateway as whoever asks has addressed it: where links that are made for them lead to.
    pub(crate) fn own_address(&self) -> String {
        let info = self.request.connection_info();
        let tls = self.app.config.server.tls_cert_file.is_some();
        format!("{}://{}", if tls { "https" } else { info.scheme() }, info.host())
    }

    /// What stands in the path where an id belongs.
    pub(crate) fn path_id(&self) -> &str {
        self.request.match_info().get("id").unwrap_or_default()
    }
}
