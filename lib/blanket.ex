defmodule Blanket do
  @moduledoc """
  Keeps a table alive when the process that owns it dies, and hands it to the next owner.

  A table that is *kept* has an *heir*: a process that watches the owner. When the owner exits, the
  table becomes an *orphan*. It still holds all its objects, and waits until the next owner comes,
  which gets it by a *hand-over*.

      defmodule MyApp.TableTop do
        use GenServer
        use Blanket

        def start_link(name) do
          table_def = {:users, [:set, :protected]}
          {:ok, _heir} = Blanket.new(__MODULE__, name, table_def)
          GenServer.start_link(__MODULE__, [name])
        end

        def init([name]) do
          Process.register(self(), name)
          {:ok, tab} = Blanket.receive_table()
          {:ok, tab}
        end
      end

  When the process is restarted, `start_link/1` and so `new/3` run again: the table is found, and
  `receive_table/0` answers it with all that was in it. A process that knows its table by a term of
  its own needs one call only, `claim_table/2`.

  Tables are those of `Blanket.Table`, which has the functions of `:ets`.

  ## In five lines

  For the usual case, a process with one table, `use Blanket` writes all that. The module is a
  `GenServer` then, and its state is the table:

      defmodule MyApp.Visits do
        use Blanket, table: {:visits, [:set, :protected]}

        def handle_call({:visit, page}, _from, table),
          do: {:reply, Blanket.Table.update_counter(table, page, 1, {page, 0}), table}
      end

      Supervisor.start_link([MyApp.Visits], strategy: :one_for_one)

  A module whose processes only keep a table that others read and write needs no more than the first
  of these lines. The options:

    * `:table` – the `{name, options}` of `Blanket.Table.new/2`, or a name alone;
    * `:populate` – a function that fills the new table and answers `:ok`, as for `new/4`;
    * `:transient` – as for `new/4`;
    * `:id`, `:restart`, `:shutdown` – as for `use GenServer`.

  These functions are defined, and can be overridden:

    * `start_link(arg)` – calls `new/4`, and starts the process by the name of the module, or by the
      `:name` in `arg`, which may be a list of options: `{MyApp.Visits, name: :visits_of_today}`.
      One of your own starts the process by `super(arg)`;
    * `child_spec(arg)` – the `:name` is the id, so that one supervisor can have several;
    * `init(arg)` – calls `receive_table/1`. One of your own gets the table by `super`:

          @impl true
          def init(arg) do
            {:ok, table} = super(arg)
            {:ok, %{table: table, started: DateTime.utc_now()}}
          end

  ## What is promised

  Whatever exits, and in whatever order:

    * every write that returned before its process died is there for the next owner;
    * a table never has two owners;
    * an heir, the supervisor of the heirs, and the whole `:blanket` application may die and start
      again: the tables do not live in them;
    * a name is free again when its table is gone;
    * a hand-over takes the same time for ten objects as for ten million.

  What is kept is kept in the memory of the node: it does not survive the node.

  ## Finding the owner

  `use Blanket` defines `c:get_owner_pid/1`, by which the heir finds the process that is its owner.
  It knows a registered name, a pid, `{:global, term}` and `{:via, module, term}`. For any other way
  to name a process, define your own:

      use Blanket

      @impl Blanket
      def get_owner_pid(group) do
        List.first(:pg.get_local_members(group))
      end

  The heir asks when its table is an orphan and a process calls `receive_table/2`, so the owner has
  to be registered before that. The heir waits for the answer: the function must not call a process
  that may be waiting for a table, or for an owner to start, such as the owner's supervisor.

  ## Heirs

  There is one heir a table, in `Blanket.Registry`, a `Registry` with unique keys. The key is what the
  table is kept as: the `ref` of `claim_table/2`, and `{module, owner, name}` for `new/4`. An heir
  may be killed like any process; its supervisor starts another.
  """

  alias Blanket.{
    Application,
    Creation,
    Events,
    Heir,
    Native,
    Owner,
    Receiver,
    Rendezvous,
    Table,
    Transaction
  }

  # Tries of a transaction.
  @retries 50

  @typedoc "What `c:get_owner_pid/1` of a module finds a process by."
  @type owner :: term

  @typedoc "The name and the options of `Blanket.Table.new/2`."
  @type definition :: {name :: atom, [Table.option()]}

  @typedoc "Fills a new table."
  @type populate :: (Table.table() -> :ok | {:error, term} | term)

  @typedoc "Options of `new/4`."
  @type option :: {:populate, populate} | {:transient, boolean} | :transient

  @typedoc "Options of `claim_table/2`."
  @type claim_option ::
          {:create_table, definition | (() -> {:ok, Table.table()} | {:error, term}) | module}
          | {:monitor, boolean}
          | {:monitor_ref, boolean}
          | {term, term}

  @typedoc "No heir can be started: the `:blanket` application does not run."
  @type not_started :: {:error, {:not_started, :blanket}}

  @doc """
  Finds the process that `owner` names, or answers `nil`.

  It is called by the heir. An exception is logged, and the table waits on.
  """
  @callback get_owner_pid(owner) :: pid | nil

  @doc false
  defmacro __using__(options) do
    quote do
      @behaviour Blanket

      # Without @impl: it would oblige the module to mark all its other callbacks.
      @doc false
      def get_owner_pid(owner), do: Blanket.get_owner_pid(owner)

      defoverridable get_owner_pid: 1
      unquote(Owner.definitions(options, __CALLER__.module))
    end
  end

  @doc """
  Finds the process that `owner` names: what `use Blanket` defines for a module.

      iex> Blanket.get_owner_pid(self()) == self()
      true
      iex> Blanket.get_owner_pid(:nobody_has_this_name)
      nil
  """
  @spec get_owner_pid(pid | atom | {:global, term} | {:via, module, term}) :: pid | nil
  def get_owner_pid(pid) when is_pid(pid), do: pid
  def get_owner_pid(name) when is_atom(name), do: pid_or_nil(Process.whereis(name))
  def get_owner_pid({:global, name}), do: pid_or_nil(:global.whereis_name(name))
  def get_owner_pid({:via, module, name}), do: pid_or_nil(module.whereis_name(name))

  def get_owner_pid(owner) do
    raise ArgumentError,
          "no process can be found by #{inspect(owner)}: it is not a name, a pid, " <>
            "{:global, term} or {:via, module, term}. Define get_owner_pid/1 in the module that " <>
            "says `use Blanket`"
  end

  # A name may belong to a port.
  defp pid_or_nil(pid) when is_pid(pid), do: pid
  defp pid_or_nil(_), do: nil

  @doc """
  Creates a table that is kept for `owner`, and answers its heir.

  `module` finds the owner's process, by its `c:get_owner_pid/1`. The table is created by the calling
  process, which is usually the one that is about to start the owner. Options that are not valid raise
  an `ArgumentError`, as in `Blanket.Table.new/2`. A `:heir` among them is overridden.

  If a table is kept under this module, owner and name already, its heir is the answer and the table
  stays untouched. So the same call serves the first start and every restart. A table that another
  process is just creating is waited for.

  ## Options

    * `:populate` – a function of one argument, the table. The calling process runs it, and only when
      the table is created. It must return `:ok`, which `Blanket.Table.insert/2` does not; for anything
      else the table is deleted and the answer is `{:error, reason}`. If it raises, throws or exits, the table is deleted and
      the exception goes on to the caller. The function can be given in place of the options.
    * `:transient` – when `true`, the table is deleted when its owner exits with the reason `:normal`,
      `:shutdown` or `{:shutdown, term}`. (If the heir was killed together with the owner, nobody
      knows the reason, and the table stays.) The atom `:transient` is the same.

  Without the `:blanket` application the answer is `{:error, {:not_started, :blanket}}`.

      iex> {:ok, heir} = Blanket.new(Blanket, self(), {:words, [:bag]}, fn table ->
      ...>   Blanket.Table.insert(table, {:hello, "world"})
      ...>   :ok
      ...> end)
      iex> Blanket.new(Blanket, self(), {:words, [:bag]}) == {:ok, heir}
      true
      iex> {:ok, words} = Blanket.receive_table()
      iex> Blanket.Table.lookup(words, :hello)
      [hello: "world"]
  """
  @spec new(module, owner, definition, populate | :transient | [option]) ::
          {:ok, pid} | {:error, term}
  def new(module, owner, definition, opts \\ [])

  def new(module, owner, definition, populate) when is_function(populate, 1),
    do: new(module, owner, definition, populate: populate)

  def new(module, owner, definition, :transient),
    do: new(module, owner, definition, transient: true)

  def new(module, owner, {name, table_opts}, opts) when is_atom(module) and is_list(opts) do
    opts = options!(opts)
    check_module!(module)
    ref = {module, owner, name}
    keep = %{module: module, owner: owner, name: name, transient: opts.transient}

    with :ok <- keep_new(ref, keep, {name, table_opts}, opts.populate),
         do: Heir.find_or_start(ref)
  end

  defp options!(opts) do
    Enum.reduce(opts, %{populate: fn _table -> :ok end, transient: false}, fn
      {:populate, populate}, opts when is_function(populate, 1) -> %{opts | populate: populate}
      {:transient, transient}, opts when is_boolean(transient) -> %{opts | transient: transient}
      :transient, opts -> %{opts | transient: true}
      option, _opts -> raise ArgumentError, "Blanket.new/4 knows no option #{inspect(option)}"
    end)
  end

  defp check_module!(module) do
    unless Code.ensure_loaded?(module) and function_exported?(module, :get_owner_pid, 1) do
      raise ArgumentError,
            "#{inspect(module)} does not export get_owner_pid/1, by which the heir would find the " <>
              "owner of the table: add `use Blanket` to the module"
    end
  end

  defp keep_new(ref, keep, definition, populate) do
    settle_transient(ref)

    if Native.kept(ref) do
      :ok
    else
      Creation.alone(ref, fn ->
        # Another process may have been faster.
        if Native.kept(ref), do: :ok, else: create_kept(ref, keep, definition, populate)
      end)
    end
  end

  defp create_kept(ref, keep, {name, table_opts}, populate) do
    table = Table.new(name, table_opts)

    with :ok <- populate(table, populate) do
      case keep(table, ref, keep) do
        :ok ->
          Events.created(ref)

        # Two may have created it, each alone, when the application was started again meanwhile.
        {:error, reason} ->
          delete(table)
          if reason == :already_kept, do: :ok, else: {:error, reason}
      end
    end
  end

  defp populate(table, populate) do
    case populate.(table) do
      :ok ->
        :ok

      answer ->
        delete(table)
        with {:error, _} = error <- answer, do: error, else: (other -> {:error, other})
    end
  catch
    kind, reason ->
      delete(table)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  # The caller lets go of it at once: it is not the owner. If it dies before, the table is an orphan
  # all the same.
  defp keep(table, ref, keep) do
    with :ok <- Native.keep(table, ref, keep), do: Native.orphan(table)
  end

  # The user's function may have deleted it already.
  defp delete(table) do
    Table.delete(table)
  rescue
    ArgumentError -> true
  end

  @doc """
  Waits for the table that is kept for the calling process, for at most 5 seconds.

  See `receive_table/2`.
  """
  @spec receive_table() :: {:ok, Table.table()} | {:error, :transfer_timeout}
  def receive_table, do: receive_table(5000)

  @doc """
  Waits for the table that is kept for the calling process, for at most `timeout` milliseconds, or
  for a certain table, for at most 5 seconds.

  See `receive_table/2`.
  """
  @spec receive_table(timeout | pid | Table.table()) ::
          {:ok, Table.table()} | {:error, :transfer_timeout}
  def receive_table(timeout) when is_integer(timeout) when timeout == :infinity,
    do: Receiver.receive_table(:any, timeout!(timeout))

  def receive_table(heir_or_name), do: receive_table(heir_or_name, 5000)

  @doc """
  Waits for a certain table that is kept for the calling process.

  `heir_or_name` is the heir that `new/4` answered, or the name in the table's definition, or the
  table's reference. A process that owns one table need not name it; one that owns several and names
  none gets one a call, in no certain order.

  The process has to be the one that `c:get_owner_pid/1` finds, so it registers first. The call tells
  the heir that the owner is ready; if the former owner is not gone yet, or the heir is being started
  again, the hand-over follows when that is done. The answer is the name of a named table, the
  reference of another.

      iex> {:ok, dogs} = Blanket.new(Blanket, self(), {:dogs, []})
      iex> {:ok, _cats} = Blanket.new(Blanket, self(), {:cats, [:named_table]})
      iex> {:ok, :cats} = Blanket.receive_table(:cats, 1000)
      iex> {:ok, table} = Blanket.receive_table(dogs, 1000)
      iex> Blanket.Table.info(table, :name)
      :dogs
      iex> Blanket.receive_table(0)
      {:error, :transfer_timeout}
  """
  @spec receive_table(pid | Table.table(), timeout) ::
          {:ok, Table.table()} | {:error, :transfer_timeout}
  def receive_table(heir, timeout) when is_pid(heir) do
    timeout = timeout!(timeout)

    case Rendezvous.ref_of_heir(heir) do
      {:ok, ref} -> Receiver.receive_table({:ref, ref}, timeout)
      :error -> {:error, :transfer_timeout}
    end
  end

  def receive_table(name, timeout) when is_atom(name) or is_reference(name),
    do: Receiver.receive_table({:name, name}, timeout!(timeout))

  def receive_table(other, _timeout) do
    raise ArgumentError,
          "#{inspect(other)} names no table: give the heir that Blanket.new/4 answered, the name " <>
            "of the table, or its reference"
  end

  defp timeout!(:infinity), do: :infinity
  defp timeout!(timeout) when is_integer(timeout) and timeout >= 0, do: timeout

  defp timeout!(timeout) do
    raise ArgumentError,
          "the timeout #{inspect(timeout)} is not a number of milliseconds, nor :infinity"
  end

  @doc """
  Tells the heir to stop waiting: the table lives on with its owner alone, and dies with it.

  Called by the owner. See `abandon_table/2`.

      iex> {:ok, table} = Blanket.claim_table(:doc_abandoned, create_table: {:words, []})
      iex> Blanket.abandon_table(table)
      :ok
      iex> Blanket.abandon_table(table)
      {:error, :not_kept}
  """
  @spec abandon_table(Table.table()) :: :ok | {:error, reason}
        when reason: :not_owner | :not_kept | {:table_not_found, term}
  def abandon_table(table) do
    with {:ok, ref} <- kept_as(table),
         true <- Table.info(table, :owner) == self() || {:error, :not_owner},
         kept = Native.kept(ref),
         {:ok, ref} <- Native.unkeep(table) do
      with {table, keep} <- kept, do: Events.abandoned(%{ref: ref, table: table, keep: keep})
      Heir.stop(ref)
    end
  end

  @doc """
  Tells `heir` to stop waiting for `table`.

  It may have been killed, and have a successor. `{:error, :not_heir}` says that it is the heir of
  another table, or none, and changes nothing. Other errors:
  `:not_owner` when the caller does not own the table, `:not_kept`, and `{:table_not_found, table}`.

      iex> {:ok, heir} = Blanket.new(Blanket, self(), {:words, []})
      iex> {:ok, table} = Blanket.receive_table(heir)
      iex> Blanket.abandon_table(table, heir)
      :ok
      iex> Process.alive?(heir)
      false
  """
  @spec abandon_table(Table.table(), pid) :: :ok | {:error, reason}
        when reason: :not_heir | :not_owner | :not_kept | {:table_not_found, term}
  def abandon_table(table, heir) do
    with {:ok, ref} <- kept_as(table) do
      if heir_of?(heir, ref), do: abandon_table(table), else: {:error, :not_heir}
    end
  end

  # Nobody knows whose heir it was that died long ago: the owner does.
  defp heir_of?(heir, ref) do
    case Rendezvous.ref_of_heir(heir) do
      {:ok, other} -> other === ref
      :error -> dead?(heir)
    end
  end

  defp dead?(pid) when is_pid(pid) and node(pid) == node(), do: not Process.alive?(pid)
  defp dead?(_), do: false

  @doc """
  Makes the calling process the owner of the table that is kept as `ref`, and creates the table the
  first time.

  One call in `c:GenServer.init/1`, with nothing before it. `ref` is any term that names one table on
  the node. It is found again by this term, so the process gets it from its child specification.

  ## Options

    * `:create_table` – how to create the table when none is kept as `ref`: the `{name, options}` of
      `Blanket.Table.new/2`, a function of no arguments that answers `{:ok, table}`, or a module with
      a function `create_table/1`, which gets all these options and answers the same. An
      `{:error, reason}` of theirs is the answer.
    * `:monitor` – when `true`, the calling process monitors the heir.
    * `:monitor_ref` – when `true`, the answer is `{:ok, table, monitor}`.

  Any other option is for the module's `create_table/1`.

  ## Errors

    * `{:error, :already_owned}` – a living process owns the table, be it the caller;
    * `{:error, {:table_not_found, ref}}` – no table is kept as `ref`, and no `:create_table` was given;
    * `{:error, {:bad_return_value, term}}` – the function did not answer a table of `Blanket.Table`;
    * `{:error, :not_owner}` – the function answered a table that is not the caller's;
    * `{:error, :already_kept}` – it answered one that is kept as something else;
    * `{:error, {:not_started, :blanket}}` – the `:blanket` application does not run.

  Options of the table that are not valid raise an `ArgumentError`.

      iex> {:ok, table} = Blanket.claim_table({:visits, 1}, create_table: {:visits, [:ordered_set]})
      iex> Blanket.Table.info(table, :owner) == self()
      true
      iex> Blanket.claim_table({:visits, 1}, create_table: {:visits, [:ordered_set]})
      {:error, :already_owned}
  """
  @spec claim_table(term, [claim_option]) ::
          {:ok, Table.table()} | {:ok, Table.table(), reference} | {:error, term}
  def claim_table(ref, opts \\ []) when is_list(opts) do
    with :ok <- Application.await(),
         {:ok, table} <- claim_or_create(ref, opts),
         {:ok, heir} <- find_heir(ref, table) do
      Events.claimed(ref)
      monitor(table, heir, opts)
    end
  end

  # The application may have been stopped meanwhile. A caller who is told so owns nothing, and may try
  # again.
  defp find_heir(ref, table) do
    with {:error, _} = error <- Heir.find_or_start(ref) do
      let_go(table)
      error
    end
  end

  defp let_go(table) do
    Native.orphan(table)
  rescue
    # It was deleted meanwhile.
    ArgumentError -> :ok
  end

  defp claim_or_create(ref, opts) do
    settle_transient(ref)

    case Native.kept(ref) do
      {table, _keep} ->
        with {:error, :table_not_found} <- Receiver.claim(ref, table),
             do: claim_or_create(ref, opts)

      nil ->
        create = fn -> if Native.kept(ref), do: :kept, else: create_and_keep(ref, opts) end
        with :kept <- Creation.alone(ref, create), do: claim_or_create(ref, opts)
    end
  end

  defp create_and_keep(ref, opts) do
    keep = %{module: nil, owner: nil, name: ref, transient: false}

    with {:ok, table} <- create_table(ref, opts),
         {:error, :already_kept} <- keep_own(table, ref, keep) do
      # Kept as something else, or created a moment too late: see create_kept/4.
      if kept_as(table) == {:error, :not_kept} do
        delete(table)
        :kept
      else
        {:error, :already_kept}
      end
    end
  end

  defp keep_own(table, ref, keep) do
    with :ok <- Native.keep(table, ref, keep) do
      Events.created(ref)
      {:ok, table}
    end
  end

  defp create_table(ref, opts) do
    created =
      case Keyword.fetch(opts, :create_table) do
        {:ok, {name, table_opts}} -> {:ok, Table.new(name, table_opts)}
        {:ok, create} when is_function(create, 0) -> create.()
        {:ok, module} when is_atom(module) -> module.create_table(opts)
        {:ok, other} -> raise ArgumentError, bad_create_table(other)
        :error -> {:error, {:table_not_found, ref}}
      end

    case created do
      {:ok, table} -> if table?(table), do: created, else: bad_return(created)
      {:error, _} -> created
      _ -> bad_return(created)
    end
  end

  defp bad_return(value), do: {:error, {:bad_return_value, value}}

  defp bad_create_table(value) do
    "create_table: #{inspect(value)} is not a {name, options}, a function of no arguments or a module"
  end

  defp table?(table) do
    Table.info(table) != :undefined
  rescue
    ArgumentError -> false
  end

  # The heir of a transient table deletes it only when it is told why the owner exited, which may
  # be after others are.
  defp settle_transient(ref) do
    with {_table, %{transient: true}} <- Native.kept(ref), do: Heir.settle(ref)
  end

  defp monitor(table, heir, opts) do
    cond do
      opts[:monitor_ref] ->
        {:ok, table, Process.monitor(heir)}

      opts[:monitor] ->
        Process.monitor(heir)
        {:ok, table}

      true ->
        {:ok, table}
    end
  end

  @doc """
  Runs `fun` with a transaction, through which it reads and writes tables by the functions of
  `Blanket.Transaction`, and makes all that it has written one change.

  `{:ok, result}` – it is done, and `fun` answered this;
  `{:error, reason}` – nothing has happened: `fun` called `Blanket.Transaction.abort/2`, or it lost more
  often than `:retries` allows, and the reason is `:conflict`. An exception goes on to the caller, and
  nothing has happened then, either.

  It is as if all that `fun` read and wrote had happened at one instant, with nothing of other processes in
  between. When others have changed what it read, `fun` is run again: so it should do nothing else than
  read and write, and quickly. The guide [Snapshots and transactions](snapshots-and-transactions.html) has
  the whole of it.

  A transaction in a transaction belongs to the outer one: what it wrote comes with that. When it is
  aborted or raises, only its own changes are taken back, and the outer one may go on.

  Options:

    * `:retries` – how often it is tried again at most, or `:infinity`. By default that is #{@retries} times, which
      takes some seconds. Only a transaction gets there that loses in its turn again and again: because it
      takes longer than a turn, or because `fun` itself changes what it has read by other calls than those of
      `Blanket.Transaction`. With `:infinity` such a one never ends.

      iex> seats = Blanket.Table.new(:seats, [])
      iex> book = fn seat, name ->
      ...>   Blanket.transaction(fn tx ->
      ...>     Blanket.Transaction.insert_new(tx, seats, {seat, name}) ||
      ...>       Blanket.Transaction.abort(tx, :taken)
      ...>   end)
      ...> end
      iex> {book.(1, "Ada"), book.(1, "Grace")}
      {{:ok, true}, {:error, :taken}}
  """
  @spec transaction((Transaction.t() -> result)) :: {:ok, result} | {:error, term}
        when result: term
  @spec transaction((Transaction.t() -> result), retries: :infinity | non_neg_integer) ::
          {:ok, result} | {:error, term}
        when result: term
  def transaction(fun, options \\ [])

  def transaction(fun, options) when is_function(fun, 1),
    do: Transaction.Runner.run(fun, retries!(options))

  def transaction(other, _options) do
    raise ArgumentError,
          "Blanket.transaction/2 runs a function of one argument, the transaction, not #{inspect(other)}"
  end

  defp retries!([]), do: @retries
  defp retries!(retries: :infinity), do: :infinity
  defp retries!(retries: retries) when is_integer(retries) and retries >= 0, do: retries

  defp retries!(options) do
    raise ArgumentError,
          "Blanket.transaction/2 knows the option retries: :infinity, or how often it is tried again at " <>
            "most, a number from 0 on; not #{inspect(options)}"
  end

  @doc """
  Monitors the heir of a kept table.

  Heirs recover by themselves; this is for programs that were written when they did not.

      iex> {:ok, table} = Blanket.claim_table(:doc_recovered, create_table: {:words, []})
      iex> {:ok, monitor} = Blanket.recover_heir(table)
      iex> is_reference(monitor)
      true
      iex> Blanket.recover_heir(:no_such_table)
      {:error, {:table_not_found, :no_such_table}}
  """
  @spec recover_heir(Table.table()) ::
          {:ok, reference} | {:error, {:table_not_found, term}} | not_started
  def recover_heir(table) do
    with {:ok, ref} <- kept_as(table),
         {:ok, heir} <- Heir.find_or_start(ref) do
      {:ok, Process.monitor(heir)}
    else
      {:error, :not_kept} -> {:error, {:table_not_found, table}}
      error -> error
    end
  end

  defp kept_as(table) do
    Native.kept_as(table)
  rescue
    ArgumentError -> {:error, {:table_not_found, table}}
  end
end
