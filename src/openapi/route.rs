//! A route: what serves it, and what is told of it.

use actix_web::{FromRequest, Handler, Responder, web};
use utoipa::ToSchema;

use super::shapes::Shape;
use crate::auth::guard::{self, Needs};
use crate::auth::role::Right;
use crate::routes::PUBLIC;

/// The methods that routes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or does something.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Ends something.
    Delete,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Whoever holds a virtual key.
    VirtualKey,
    /// Whoever holds the master key, and people who are logged in, if their role has the route's right.
    MasterKey,
    /// Anybody.
    Nobody,
}

impl Power {
    /// Who may use a path. A test asks the running program the same.
    #[must_use]
    pub fn over(path: &str) -> Self {
        if path.starts_with("/v1/") {
            Self::VirtualKey
        } else if PUBLIC.contains(&path) {
            Self::Nobody
        } else {
            Self::MasterKey
        }
    }
}

/// Routes that belong together.
pub struct Group {
    /// What they are about, in a word.
    pub name: &'static str,
    /// The same in a sentence or two, as Markdown.
    pub about: &'static str,
    /// In the order in which they are shown.
    pub routes: Vec<Route>,
}

/// A route that says what it does.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does, in two or three words. Also its name in clients that are generated.
    pub summary: &'static str,
    /// The same in sentences, as Markdown.
    pub about: &'static str,
    /// What it asks of people; without a right it is closed to them.
    pub needs: Needs,
    pub(super) serve: Box<dyn Fn() -> actix_web::Route>,
    pub(super) query: Option<Sent>,
    pub(super) body: Option<Sent>,
    pub(super) replies: Vec<Reply>,
    pub(super) codes: Vec<&'static str>,
}

/// What is sent: its shape, and an example of it.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) shape: Shape,
    pub(super) example: &'static str,
}

/// What a route answers when all went well.
pub struct Reply {
    pub(super) status: u16,
    pub(super) what: &'static str,
    pub(super) media: &'static str,
    pub(super) shape: Shape,
}

impl Reply {
    /// 200 with JSON.
    #[must_use]
    pub fn ok<T: ToSchema>(what: &'static str) -> Self {
        Self::json::<T>(200, what)
    }

    /// 201 with JSON.
    #[must_use]
    pub fn created<T: ToSchema>(what: &'static str) -> Self {
        Self::json::<T>(201, what)
    }

    /// JSON with another status.
    #[must_use]
    pub fn json<T: ToSchema>(status: u16, what: &'static str) -> Self {
        Self { status, what, media: "application/json", shape: Shape::of::<T>() }
    }

    /// 200 with JSON of a kind of its own.
    #[must_use]
    pub fn in_media<T: ToSchema>(media: &'static str, what: &'static str) -> Self {
        Self { status: 200, what, media, shape: Shape::of::<T>() }
    }

    /// 200 with a text of another kind.
    #[must_use]
    pub fn text(media: &'static str, what: &'static str) -> Self {
        Self { status: 200, what, media, shape: Shape::of::<String>() }
    }
}

/// A route of which nothing is told yet; it cannot be mounted.
pub struct Undescribed {
    method: Method,
    path: &'static str,
    serve: Box<dyn Fn() -> actix_web::Route>,
}

impl Undescribed {
    /// What the route does and what it answers.
    #[must_use]
    pub fn described(self, summary: &'static str, about: &'static str, reply: Reply) -> Route {
        let Self { method, path, serve } = self;
        let (query, body, replies, codes) = (None, None, vec![reply], Vec::new());
        let needs = Needs { right: None, exports: false };
        Route { method, path, summary, about, needs, serve, query, body, replies, codes }
    }
}

impl Route {
    /// The right that people need to use it.
    #[must_use]
    pub const fn needs(mut self, right: Right) -> Self {
        self.needs.right = Some(right);
        self
    }

    /// What it answers is taken away, which is written down.
    #[must_use]
    pub const fn exports(mut self) -> Self {
        self.needs.exports = true;
        self
    }

    /// What its query string may hold, and an example of one.
    #[must_use]
    pub fn query<T: ToSchema>(mut self, example: &'static str) -> Self {
        self.query = Some(Sent { shape: Shape::of::<T>(), example });
        self
    }

    /// What its body holds, and an example as JSON. `$ORG` and `$KEY` in it stand for ids.
    #[must_use]
    pub fn body<T: ToSchema>(mut self, example: &'static str) -> Self {
        self.body = Some(Sent { shape: Shape::of::<T>(), example });
        self
    }

    /// What it may answer besides.
    #[must_use]
    pub fn or(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    /// Codes of errors that it may answer with, besides those of all routes like it.
    #[must_use]
    pub fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// What serves it, behind what must be so before.
    pub(super) fn served(&self) -> actix_web::Route {
        match self.power() {
            Power::MasterKey => guard::api((self.serve)(), self.needs),
            Power::VirtualKey | Power::Nobody => (self.serve)(),
        }
    }

    /// Its path without the patterns of its parameters.
    #[must_use]
    pub fn shown_path(&self) -> String {
        let mut shown = String::new();
        for part in self.path.split_inclusive(['{', '}']) {
            match part.split_once(':') {
                Some((name, _)) if part.ends_with('}') => {
                    shown.push_str(name);
                    shown.push('}');
                }
                _ => shown.push_str(part),
            }
        }
        shown
    }

    /// Who may use it.
    #[must_use]
    pub fn power(&self) -> Power {
        Power::over(self.path)
    }
}

/// Declares a function that makes routes of one method.
macro_rules! methods {
    ($($(#[$about:meta])* $name:ident = $method:ident;)*) => {$(
        $(#[$about])*
        pub fn $name<F, Args>(path: &'static str, handler: F) -> Undescribed
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            let serve = move || web::$name().to(handler.clone());
            Undescribed { method: Method::$method, path, serve: Box::new(serve) }
        }
    )*};
}

methods! {
    /// A route that reads.
    get = Get;
    /// A route that creates or does something.
    post = Post;
    /// A route that replaces.
    put = Put;
    /// A route that changes a part.
    patch = Patch;
    /// A route that ends something.
    delete = Delete;
}
