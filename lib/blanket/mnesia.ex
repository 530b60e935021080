defmodule Blanket.Mnesia do
  @moduledoc """
  Tables of Mnesia that are Blanket's: replicated, indexed, changed in transactions, fragmented and joined by
  Mnesia as any other, and stored in a `Blanket.Table`.

      iex> Application.load(:mnesia)
      iex> Application.put_env(:mnesia, :schema_location, :ram)
      iex> :ok = :mnesia.start()
      iex> :ok = Blanket.Mnesia.register()
      iex> :mnesia.create_table(:person, blanket_copies: [node()], attributes: [:id, :name])
      {:atomic, :ok}
      iex> :mnesia.transaction(fn -> :mnesia.write({:person, 1, "Ada"}) end)
      {:atomic, :ok}
      iex> :mnesia.dirty_read(:person, 1)
      [{:person, 1, "Ada"}]
      iex> :mnesia.stop()
      :stopped

  `register/0` tells Mnesia of two kinds of table, which stand where Mnesia's own do: in the options of
  `:mnesia.create_table/2`, for any of its types, and in `add_table_copy`, `move_table_copy`,
  `change_table_copy_type` and so on. Programs that use the table stay as they are.

    * `blanket_copies` are in memory, as `ram_copies`;
    * `blanket_disc_copies` are in memory and on a disc, as `disc_copies`: each is a durable table, with a file in
      Mnesia's directory. How it is written, the table's storage properties say, in the words of
      `Blanket.Table.new/2`:

          storage_properties: [blanket: [sync: :always]]

  Mnesia is a part of Erlang/OTP and no dependency of Blanket: whoever uses this has `:mnesia` among the
  `extra_applications` or the `included_applications` of their project. All nodes of the cluster
  have Blanket in their code path.

  ## What is promised

  `blanket_copies` have the semantics `ram_copies`: a table is there until the last node that has it, or Mnesia
  there, ends. `blanket_disc_copies` have the semantics `disc_only_copies`, but for being read from
  memory: a table is there when Mnesia starts again. Of what was changed last, a node that is killed
  may have less than it acknowledged, as the option `:sync` says; with `sync: :always` it has all.

    * All that Mnesia promises of transactions, locks and the order of changes, it promises here. It checks
      and sends what is changed, Blanket stores it.
    * A node that joins is sent a snapshot. Its reading locks nothing and is not slowed down by writers;
      what they write meanwhile is sent after it.
    * Mnesia's checkpoints, backups, restores and fallbacks have these tables in them.

  The guide *More than one machine* tells what is different from `ram_copies`, and why.
  """

  alias Blanket.Mnesia.{Disc, Dump, Owner, Tables}
  alias Blanket.Table

  @memory :blanket_copies
  @disc :blanket_disc_copies
  @kinds [@memory, @disc]

  @doc """
  Makes Blanket's kinds of table known to Mnesia, which has to be running: on all nodes at once, and for good
  where the schema is on a disc. That they are known already is no error. A node whose schema is in
  memory has to know them before it joins others that do, with `:mnesia.change_config/2`.

  It is a change of the schema, a transaction of Mnesia's. It answers `{:error, reason}` where Mnesia
  gives a reason not to, for example `{:node_not_running, node}`.

      iex> {:error, {:node_not_running, _node}} = Blanket.Mnesia.register()
      iex> :ok
      :ok
  """
  @spec register() :: :ok | {:error, term}
  def register do
    Enum.reduce_while(@kinds, :ok, fn kind, :ok ->
      case :mnesia_schema.add_backend_type(kind, __MODULE__) do
        {:atomic, :ok} -> {:cont, :ok}
        {:aborted, {:backend_type_already_exists, ^kind}} -> {:cont, :ok}
        {:aborted, reason} -> {:halt, {:error, reason}}
      end
    end)
  end

  @doc """
  The same for a schema that is only made, while Mnesia does not run.

      :mnesia.create_schema(nodes, backend_types: Blanket.Mnesia.backend_types())

      iex> Blanket.Mnesia.backend_types()
      [blanket_copies: Blanket.Mnesia, blanket_disc_copies: Blanket.Mnesia]
  """
  @spec backend_types() :: [{atom, module}]
  def backend_types, do: for(kind <- @kinds, do: {kind, __MODULE__})

  ## The behaviour mnesia_backend_type, which does not say which of its callbacks are optional and so
  ## cannot be given to @behaviour

  @doc false
  def init_backend, do: Owner.delete_leftovers()

  @doc false
  def add_aliases(_kinds), do: :ok

  @doc false
  def remove_aliases(_kinds), do: :ok

  @doc false
  def semantics(@memory, :storage), do: :ram_copies
  # Not disc_copies: of those Mnesia itself writes what is on the disc, from an ETS table.
  def semantics(@disc, :storage), do: :disc_only_copies
  def semantics(_kind, :types), do: [:set, :ordered_set, :bag]
  # As those of ram_copies: of values that many objects have, too, each entry is found by itself.
  def semantics(_kind, :index_types), do: [:ordered, :bag]
  def semantics(_kind, _item), do: :undefined

  @on_disc [:disc_copies, :disc_only_copies, @disc]

  @doc false
  # Of nodes that were all stopped, Mnesia has the one begin that was stopped last. It makes an exception of
  # ram_copies and waits for a node with a disc; of a backend's it makes none, and the others would
  # replace what is on their discs by nothing. And where a copy of a backend's becomes one of disc_copies, it
  # writes nothing to the disc.
  def check_definition(kind, name, nodes, properties) do
    on_disc = for {kind, [_ | _] = nodes} when kind in @on_disc <- properties, do: {kind, nodes}

    moved =
      for node <- Keyword.get(properties, :disc_copies, []), node in copies(kind, name), do: node

    cond do
      kind == @memory and nodes != [] and on_disc != [] ->
        {:error, {"has copies on a disc, and so cannot have any of this kind", on_disc}}

      moved != [] ->
        {:error, {"copies of this kind become ram_copies before they become disc_copies", moved}}

      true ->
        :ok
    end
  end

  # Those that there are now.
  defp copies(kind, name) do
    :mnesia.table_info(name, kind)
  catch
    :exit, {:aborted, {:no_exists, _, _}} -> []
  end

  @doc false
  def real_suffixes, do: Disc.suffixes()

  @doc false
  def tmp_suffixes, do: []

  @doc false
  def validate_key(_kind, _name, record, arity, type, _key), do: {record, arity, type}

  @doc false
  def validate_record(_kind, _name, record, arity, type, _object), do: {record, arity, type}

  ## Tables

  @doc false
  # Of a table that is restored anew Mnesia creates one first without saying of what type, then again.
  def create_table(_kind, _name, []), do: :ok

  # It may be open already: Mnesia does so for its log, and to restore a fallback.
  def create_table(@disc, name, properties) when is_atom(name) do
    if :mnesia_monitor.use_dir(),
      do: open(name, properties),
      else: {:error, {:has_no_disc, node()}}
  rescue
    error in ArgumentError -> {:error, Exception.message(error)}
  end

  def create_table(_kind, name, properties), do: Tables.create(name, layout(name, properties))

  defp open(name, properties),
    do: Tables.open(name, layout(name, properties) ++ Disc.options(name, properties))

  defp layout({_table, :index, {_position, :ordered}}, _), do: [:ordered_set, keypos: 1]
  defp layout({_table, :index, {_position, :bag}}, _), do: [:bag, keypos: 1]
  defp layout({_table, :retainer, _checkpoint}, _), do: [:set, keypos: 2]
  defp layout(_table, properties), do: [Keyword.fetch!(properties, :type), keypos: 2]

  @doc false
  def load_table(@disc, name, reason, properties) when is_atom(name) do
    :ok = open(name, properties)

    case reason do
      {:net_load, _node} -> clear(name)
      # What is created may have been before, and its file be there.
      {:dumper, _operation} -> clear(name)
      _ -> :ok
    end
  end

  def load_table(_kind, name, {:net_load, _node}, _properties), do: clear(name)
  def load_table(_kind, _name, {:dumper, _operation}, _properties), do: :ok
  def load_table(_kind, name, _, _) when is_atom(name), do: Dump.load(name, Tables.fetch!(name))
  def load_table(_kind, _index_or_retainer, _reason, _properties), do: :ok

  @doc false
  # Mnesia closes a table on a disc when it has gone through its log, and loads it then.
  def close_table(kind, name), do: sync_close_table(kind, name)

  @doc false
  def sync_close_table(@disc, name) do
    with {:ok, table} <- Tables.find(name), do: Table.flush(table)
    :ok
  end

  def sync_close_table(_kind, _name), do: :ok

  @doc false
  def delete_table(@disc, name) when is_atom(name) do
    Tables.delete(name)
    Disc.delete(name)
  end

  def delete_table(_kind, name) when is_atom(name) do
    # Mnesia asks for that by itself only where the semantics are disc_only_copies.
    for {^name, :index, _position} = index <- Tables.names(), do: Tables.delete(index)
    Tables.delete(name)
    Dump.delete(name)
  end

  def delete_table(_kind, index_or_retainer), do: Tables.delete(index_or_retainer)

  @doc false
  def info(_kind, name, item) do
    case Tables.find(name) do
      {:ok, table} -> Table.info(table, item)
      :error -> :undefined
    end
  end

  @doc false
  # What a fixation is for is so without one. And in a fixed table next/2 goes on behind a key that never
  # was there, where Mnesia, which has the key from a transaction of its own, relies on it to fail.
  def fixtable(_kind, name, _fix?), do: Tables.find(name) != :error or :erlang.error(:badarg)

  ## Objects

  @doc false
  def insert(@disc, name, object), do: change(@disc, name, &Table.insert(&1, object))

  def insert(_kind, name, object) do
    Table.insert(Tables.fetch!(name), object)
    :ok
  end

  @doc false
  def delete(@disc, name, key), do: change(@disc, name, &Table.delete(&1, key))

  def delete(_kind, name, key) do
    Table.delete(Tables.fetch!(name), key)
    :ok
  end

  @doc false
  def match_delete(kind, name, :_), do: change(kind, name, &Table.delete_all_objects/1)
  def match_delete(kind, name, pattern), do: change(kind, name, &Table.match_delete(&1, pattern))

  defp clear(name), do: match_delete(@memory, name, :_)

  defp change(kind, name, change) do
    table = Tables.fetch!(name)

    try do
      change.(table)
      :ok
    rescue
      error in ArgumentError ->
        if kind == @disc, do: Disc.check(table)
        reraise error, __STACKTRACE__
    end
  end

  @doc false
  # It fails where there is no counter yet, and Mnesia inserts one.
  def update_counter(_kind, name, key, increment),
    do: Table.update_counter(Tables.fetch!(name), key, increment)

  @doc false
  def lookup(_kind, name, key), do: Table.lookup(Tables.fetch!(name), key)

  @doc false
  def first(_kind, name), do: Table.first(Tables.fetch!(name))

  @doc false
  def last(_kind, name), do: Table.last(Tables.fetch!(name))

  @doc false
  def next(_kind, name, key), do: Table.next(Tables.fetch!(name), key)

  @doc false
  def prev(_kind, name, key), do: Table.prev(Tables.fetch!(name), key)

  @doc false
  def slot(_kind, name, position), do: Table.slot(Tables.fetch!(name), position)

  @doc false
  def select(continuation), do: Table.select(continuation)

  @doc false
  def select(_kind, name, match_spec), do: Table.select(Tables.fetch!(name), match_spec)

  @doc false
  def select(_kind, name, match_spec, limit),
    do: Table.select(Tables.fetch!(name), match_spec, limit)

  @doc false
  def repair_continuation(continuation, match_spec),
    do: Table.repair_continuation(continuation, match_spec)

  ## Indices

  @doc false
  # They are in memory, and made whenever the table is loaded.
  def is_index_consistent(_kind, _index), do: false

  @doc false
  def index_is_consistent(_kind, _index, _consistent?), do: :ok

  ## From node to node

  @all [{:_, [], [:"$_"]}]

  @doc false
  # The snapshot is taken when the first portion is asked for: by then the receiver is told of every
  # change. So it needs no lock, and those that come later are not in the way of its reading.
  def sender_init(_kind, name, _remote, _receiver) do
    table = Tables.fetch!(name)
    portion = portion(table)

    read = fn
      :beginning ->
        {:ok, snapshot} = Table.snapshot(table)
        Table.select(snapshot, @all, portion)

      continuation ->
        Table.select(continuation)
    end

    {:standard, fn -> {[], :beginning} end, read}
  end

  # About as many bytes as Mnesia itself sends in a message.
  @portion 64_000

  defp portion(table) do
    case Table.select(table, @all, 1) do
      {[object], _continuation} -> div(@portion, :erlang.external_size(object)) + 1
      :"$end_of_table" -> 1
    end
  end

  @doc false
  # Nobody of this module's asks for more than the next portion.
  def sender_handle_info(_message, _kind, _name, _receiver, state), do: {&select/1, state}

  @doc false
  def receiver_first_message(_sender, {:first, size}, _kind, _name), do: {size, nil}

  @doc false
  def receive_data(objects, kind, name, _sender, state) do
    :ok = insert(kind, name, objects)
    {:more, state}
  end

  @doc false
  def receive_done(kind, name, _sender, _state), do: sync_close_table(kind, name)
end
