//! A `PostgreSQL` connection in pure Rust that diesel's synchronous room accepts.
//!
//! `AsyncConnectionWrapper` alone is refused by `#[derive(MultiConnection)]`; this newtype adds
//! what is missing. Each connection owns a current-thread runtime, so a query runs wholly on the
//! thread that asks.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager,
};
use diesel::expression::QueryMetadata;
use diesel::internal::derives::multiconnection::{ConnectionSealed, MultiConnectionHelper};
use diesel::migration::MigrationConnection;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::sql_types::TypeMetadata;
use diesel::{Connection, ConnectionError, ConnectionResult, QueryResult};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use tokio::runtime::{Builder, Handle, Runtime};

use super::tls;
use crate::store::error::StoreError;
use crate::store::url::PostgresTarget;

thread_local! {
    /// Hands the runtime of a new connection to the wrapper, which would build a second one.
    static NEXT_LANE: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// The runtime of one connection.
pub(in crate::store) struct Lane(Option<Runtime>);

impl BlockOn for Lane {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => Handle::current().block_on(future),
        }
    }

    fn get_runtime() -> Self {
        Self(NEXT_LANE.take())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A plain drop would panic where a connection dies inside somebody's async code.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

type Inner = AsyncConnectionWrapper<AsyncPgConnection, Lane>;

/// One connection to `PostgreSQL`.
pub(in crate::store) struct PgConnection {
    inner: Inner,
    transactions: AnsiTransactionManager,
}

impl PgConnection {
    /// Connects by the address; must not be called inside an async runtime.
    pub(in crate::store) fn open(target: &PostgresTarget) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Busy(error.to_string()))?;
        let connected = runtime.block_on(connect(target))?;
        NEXT_LANE.set(Some(runtime));
        Ok(Self { inner: Inner::from(connected), transactions: AnsiTransactionManager::default() })
    }
}

async fn connect(target: &PostgresTarget) -> Result<AsyncPgConnection, StoreError> {
    let out_of_reach = |error: tokio_postgres::Error| StoreError::Busy(reason(&error));
    let connected = match tls::connector(&target.transport)? {
        None => {
            let (client, connection) =
                target.config.connect(tokio_postgres::NoTls).await.map_err(out_of_reach)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
        Some(connector) => {
            let (client, connection) =
                target.config.connect(connector).await.map_err(out_of_reach)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
    };
    connected.map_err(|error| StoreError::Busy(error.to_string()))
}

/// The driver's message with its cause: "error connecting to server: Connection refused".
fn reason(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error)
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl SimpleConnection for PgConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.inner.batch_execute(query)
    }
}

impl ConnectionSealed for PgConnection {}

impl Connection for PgConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("connections are opened by store::Url".to_owned()))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Self::Backend> + QueryId,
    {
        self.inner.execute_returning_count(source)
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <Self::TransactionManager as TransactionManager<Self>>::TransactionStateData {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for PgConnection {
    type Cursor<'conn, 'query>
        = <Inner as LoadConnection>::Cursor<'conn, 'query>
    where
        Self: 'conn;
    type Row<'conn, 'query>
        = <Inner as LoadConnection>::Row<'conn, 'query>
    where
        Self: 'conn;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        LoadConnection::load(&mut self.inner, source)
    }
}

impl MigrationConnection for PgConnection {
    fn setup(&mut self) -> QueryResult<usize> {
        self.inner.setup()
    }
}

/// Refuses every question for the number of a type: only built-in types are used, and diesel
/// knows those by heart.
struct NoTypeLookup;

impl PgMetadataLookup for NoTypeLookup {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

impl MultiConnectionHelper for PgConnection {
    fn to_any<'a>(_: &mut <Pg as TypeMetadata>::MetadataLookup) -> &mut (dyn Any + 'a) {
        // The driver's own lookup cannot be named here. A value without size is leaked instead:
        // that allocates nothing.
        Box::leak(Box::new(NoTypeLookup))
    }

    fn from_any(lookup: &mut dyn Any) -> Option<&mut <Pg as TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<NoTypeLookup>().map(|found| {
            let lookup: &mut <Pg as TypeMetadata>::MetadataLookup = found;
            lookup
        })
    }
}
