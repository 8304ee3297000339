//! SQL whose text never changes: prepared once per connection, typed where it is written.
//!
//! diesel's `sql_query` is prepared anew each time; these nodes are not, which is most of the
//! speed of the hot path. `$1`, `$2` … read alike on both databases as long as they first appear
//! in rising order.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::backend::{Backend, DieselReserveSpecialization};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;

/// A fixed text that returns rows of the SQL types `R`; `()` when it returns none.
pub(super) fn fixed<R>(sql: &'static str) -> Fixed<R> {
    Fixed { sql, row: PhantomData }
}

/// See [`fixed`].
pub(super) struct Fixed<R> {
    sql: &'static str,
    row: PhantomData<R>,
}

/// A statement and one more value for its next placeholder.
pub(super) struct Bind<Q, T, V> {
    statement: Q,
    value: V,
    kind: PhantomData<T>,
}

impl<R> Fixed<R> {
    /// Gives the value of `$1`, of the SQL type `T`.
    pub(super) fn bind<T, V>(self, value: V) -> Bind<Self, T, V> {
        Bind { statement: self, value, kind: PhantomData }
    }
}

impl<Q, T, V> Bind<Q, T, V> {
    /// Gives the value of the next placeholder.
    pub(super) fn bind<U, W>(self, value: W) -> Bind<Self, U, W> {
        Bind { statement: self, value, kind: PhantomData }
    }
}

impl<R, B> QueryFragment<B> for Fixed<R>
where
    B: Backend + DieselReserveSpecialization,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, B>) -> QueryResult<()> {
        out.push_sql(self.sql);
        Ok(())
    }
}

impl<Q, T, V, B> QueryFragment<B> for Bind<Q, T, V>
where
    B: Backend + HasSqlType<T> + DieselReserveSpecialization,
    Q: QueryFragment<B>,
    V: ToSql<T, B>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, B>) -> QueryResult<()> {
        self.statement.walk_ast(out.reborrow())?;
        out.push_bind_param_value_only(&self.value)
    }
}

impl<R> QueryId for Fixed<R> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, T, V> QueryId for Bind<Q, T, V> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<R> Query for Fixed<R> {
    type SqlType = R;
}

impl<Q: Query, T, V> Query for Bind<Q, T, V> {
    type SqlType = Q::SqlType;
}

impl<R, C> RunQueryDsl<C> for Fixed<R> {}
impl<Q, T, V, C> RunQueryDsl<C> for Bind<Q, T, V> {}
