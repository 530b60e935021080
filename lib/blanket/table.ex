defmodule Blanket.Table do
  @moduledoc """
  Tables with the API of `:ets`: the same names, arguments, results and errors.

  `Blanket.Table` may be written wherever `:ets` stands. Two things differ. A table need not die with
  the process that owns it: see `Blanket`, and the option `{:heir, :immortal}` of `new/2`. And no call
  takes a lock to read.

      iex> table = Blanket.Table.new(:users, [:set, :public])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      true
      iex> Blanket.Table.lookup(table, 2)
      [{2, "Grace"}]

  From Erlang the module is called as `'Elixir.Blanket.Table'`:

      T = 'Elixir.Blanket.Table':new(users, [ordered_set]),
      true = 'Elixir.Blanket.Table':insert(T, {1, "Ada"}).

  ## Keys

  Tables of the types `:set`, `:bag` and `:duplicate_bag` take two keys for the same when they match
  (`===`), so `1` and `1.0` are two keys. An `:ordered_set` keeps its objects in term order and takes
  keys for the same when they compare equal (`==`): there, `1` and `1.0` are one key.

  ## Atomicity

  Every change is atomic and isolated: another process sees all that a call does or nothing. This is
  so for a list of a million objects too, and for a writer that is killed while it writes. Only
  `select_delete/2`, `match_delete/2`, `select_replace/2`, `delete_many/2`, `from_dets/2` and
  `init_table/2` do one thing after the other.

  A look-up shows one instant of its key. What goes over the whole table (steps from key to key, slots,
  lists, streams, queries) sees what is there throughout exactly once, whatever is inserted or deleted
  meanwhile; of those changes it may see some and not others. Folds and files show one instant of the
  whole table, and so does everything that reads a [snapshot](`snapshot/1`).

  ## Compressed tables

  How much smaller the option `:compressed` makes an object depends on what is in it. In bytes an object,
  with its share of the table, as measured with OTP 25 on random names, numbers and texts:

  | object                                   | without | with  |
  | ---------------------------------------- | ------: | ----: |
  | `{integer, integer}`                     |      58 |    58 |
  | a map of 10 fields                       |     429 |   315 |
  | a list of 20 maps                        |   4,425 |   991 |
  | a list of 500 integers below a million   |   8,075 | 2,721 |
  | a binary of 1 KB of English text         |   1,143 | 1,129 |
  | a binary of 1 KB of random bytes         |   1,143 | 1,143 |

  What repeats itself shrinks, as the names of fields do; a text alone hardly does. To look up one of the
  compressed ones above took 6 to 30 µs, to insert one 6 to 90 µs. Keys are never compressed, nor are
  objects with references, ports, funs or a float zero.

  ## Durable tables

  A table with the option `{:durable, path}` or `{:durable, path, options}` survives the node. It is read
  from its file when it is created, and from then on in memory, like any other; its changes are written
  to the file. Another table, or another program, cannot open the file meanwhile. What is written when,
  the options say:

    * `sync: {:interval, milliseconds}`: what was changed is written after so long at the latest, and
      as long as writing it takes. What was changed last is lost with the node. This is the default, with 100;
    * `sync: :always`: a call that changes the table returns when its change is on disk. Many processes
      share one write, so that it is many that make a table fast;
    * `sync: :manual`: what was changed is written when `flush/1` is called, and when the table is deleted;
    * `progress: fun`: the function is called with the keys that were read and those that there are, again
      and again while the table is being read, by the process that creates it.

  After a crash the file has each change as a whole or not at all: a list that was inserted, what
  `select_delete/2` has deleted, what a transaction has changed in one table. When the file cannot be written,
  the table can be read; changes are refused, but for those with `sync: :manual`, until it can be written
  again. The guide [Durable tables](durable-tables.html) says more.

  ## Errors

  All functions fail with `:badarg`, in Elixir an `ArgumentError`, as those of `:ets` do, and the error
  tells which argument was wrong, and why. Nothing has changed then.

      Blanket.Table.insert(table, [{1, "Ada"}, :grace])
      ** (ArgumentError) errors were found at the given arguments:

        * 2nd argument: :grace in the list: not a tuple
  """

  alias Blanket.{Heir, Native}
  import Blanket.Table.Durable, only: [settled: 2]

  alias Blanket.Table.{Binaries, Durable, Error, MatchSpec, Options, QLC, Show, Snapshot}
  alias Blanket.Table.File, as: TableFile

  @typedoc "A table: its reference, or the name of a named one. What only reads takes a snapshot, too."
  @type table :: reference | atom

  @typedoc "A table as it was at one instant: see `snapshot/1`."
  @type snapshot :: reference

  @typedoc "An element of a table: a tuple with at least as many elements as the key position says."
  @type object :: tuple

  @typedoc "An option of `new/2`."
  @type option ::
          :set
          | :ordered_set
          | :bag
          | :duplicate_bag
          | :public
          | :protected
          | :private
          | :named_table
          | :compressed
          | {:keypos, pos_integer}
          | {:durable, Path.t()}
          | {:durable, Path.t(), [durable_option]}
          | {:heir, pid, term}
          | {:heir, pid | :none | :immortal}
          | {:read_concurrency, boolean}
          | {:write_concurrency, boolean | :auto}
          | {:decentralized_counters, boolean}

  @typedoc "How a durable table is opened and written: see [Durable tables](#module-durable-tables)."
  @type durable_option ::
          {:sync, :always | {:interval, milliseconds :: pos_integer} | :manual}
          | {:progress, (loaded :: non_neg_integer, keys :: non_neg_integer -> term)}

  @typedoc "What to add to which element: see `update_counter/3`."
  @type counter_operation ::
          {pos_integer, integer}
          | {pos_integer, integer, threshold :: integer, reset :: integer}

  # Raised here, so that the stack trace names the function that was called, and its arguments.
  defmacrop badarg(args) do
    {function, _arity} = __CALLER__.function

    quote do
      args = unquote(args)
      :erlang.error(:badarg, args, error_info: Error.info(unquote(function), args))
    end
  end

  ## A table's life

  @doc """
  Creates a table, owned by the calling process.

  The answer is the table's reference; with the option `:named_table` it is its name.

  Options, of which the last wins where several say the same, except that `:set` and `:protected`
  take nothing back:

    * `:set` (the default), `:ordered_set`, `:bag`, `:duplicate_bag`: the type;
    * `:protected` (the default: the owner writes, all read), `:public`, `:private`: who may do what;
    * `:named_table`: the table is found by its name;
    * `{:keypos, n}`: the element of an object that is its key, 1 by default;
    * `{:heir, pid, data}`: when the owner exits, `pid` gets the table and the message
      `{:"ETS-TRANSFER", table, owner, data}`; `{:heir, pid}`: without a message;
      `{:heir, :none}` (the default): the table is deleted;
    * `{:heir, :immortal}`: the table outlives its owner with no process at all. `info/2` then shows the
      owner `:none`, and any process may `claim/1` it. `:ets` has nothing like it;
    * `{:durable, path}`, `{:durable, path, options}`: the table has a file, from which it is read when it
      is created, and to which its changes are written; see [Durable tables](#module-durable-tables).
      `:ets` has nothing like it;
    * `:compressed`: objects of 128 bytes to 128 KB are kept compressed, where that makes them smaller
      by a quarter at least; see [Compressed tables](#module-compressed-tables);
    * `{:read_concurrency, boolean}`, `{:write_concurrency, boolean | :auto}`,
      `{:decentralized_counters, boolean}`: taken, and shown by `info/1`. Nothing else comes of them,
      since a table reads and writes concurrently in any case.

  `{:heir, pid}` is known to `:ets` from OTP 28 on, all other options from OTP 25 on.

      iex> Blanket.Table.new(:planets, [:ordered_set, :named_table])
      :planets
  """
  @spec new(atom, [option]) :: table
  def new(name, options) do
    case Options.read(options) do
      {:ok, %{durable: nil} = settings} -> Native.new(Options.settings(name, settings))
      {:ok, settings} when is_atom(name) -> Durable.new(name, settings)
      _ -> :erlang.error(:badarg)
    end
  catch
    :error, :badarg -> badarg([name, options])
  else
    {:error, reason} -> :erlang.error(:badarg, [name, options], error_info: Error.of(2, reason))
    table -> table
  end

  @doc """
  Deletes the table.

  The name is free and every process is refused at once; the memory is given back in the background. A
  durable table is written to its file first, which stays. If it cannot be written, the call fails, and the table
  is what it was. What others go on changing meanwhile is written after the table is gone for them.

      iex> table = Blanket.Table.new(:short, [])
      iex> Blanket.Table.delete(table)
      true
      iex> Blanket.Table.info(table)
      :undefined
  """
  @spec delete(table) :: true
  def delete(table) do
    case Durable.delete(table) do
      {:closing, path, whose_heir} ->
        Durable.await_close(path)
        tell_heir(whose_heir)

      whose_heir ->
        tell_heir(whose_heir)
    end
  catch
    :error, :badarg -> badarg([table])
  end

  @doc ~S"""
  Writes what was changed in a durable table so far to its file, and waits until it is on disk.

  Of a table that is not durable there is nothing to write. `{:error, reason}`, as `:file` names reasons,
  tells that it could not be written; it is not lost then, but written with what is changed next.

      iex> path = Path.join(System.tmp_dir!(), "doctest-#{System.unique_integer([:positive])}")
      iex> table = Blanket.Table.new(:numbers, [{:durable, path, sync: :manual}])
      iex> Blanket.Table.insert(table, {1, "one"})
      iex> Blanket.Table.flush(table)
      :ok
      iex> Blanket.Table.delete(table)
      iex> File.rm(path)
      :ok
  """
  @spec flush(table) :: :ok | {:error, term}
  def flush(table) do
    Durable.flush(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc ~S"""
  Writes all objects of a table to a new file, as they are at one instant, while others go on changing them.

  The table need not be durable, and may be a snapshot. The file is there as a whole or not at all; it is one
  that a durable table can be opened with. Answers how many objects there are, or `{:error, reason}`, which is
  `:eexist` where there is a file.

      iex> path = Path.join(System.tmp_dir!(), "doctest-#{System.unique_integer([:positive])}")
      iex> table = Blanket.Table.new(:numbers, [])
      iex> Blanket.Table.insert(table, for(number <- 1..100, do: {number}))
      iex> Blanket.Table.backup(table, path)
      {:ok, 100}
      iex> Blanket.Table.verify(path)
      {:ok, %{type: :set, keypos: 1, keys: 100, objects: 100}}
      iex> File.rm(path)
      :ok
  """
  @spec backup(table | snapshot, Path.t()) :: {:ok, non_neg_integer} | {:error, term}
  def backup(table, path) do
    Native.durable_backup(table, path!(path))
  catch
    :error, :badarg -> badarg([table, path])
  end

  @doc ~S"""
  Copies a file that `backup/2` has made, or a durable table's that is not open, to where a durable table is
  going to be opened, after a look at all of it.

  There must be no file of that name: `{:error, :eexist}`. One that was damaged is not copied. The copy is
  there as a whole or not at all.

      iex> [backup, path] = for name <- ["backup", "table"], do: Path.join(System.tmp_dir!(), "doctest-#{name}-#{System.unique_integer([:positive])}")
      iex> table = Blanket.Table.new(:numbers, [])
      iex> Blanket.Table.insert(table, {1, "one"})
      iex> Blanket.Table.backup(table, backup)
      iex> Blanket.Table.restore(backup, path)
      :ok
      iex> restored = Blanket.Table.new(:numbers, [{:durable, path}])
      iex> Blanket.Table.tab2list(restored)
      [{1, "one"}]
      iex> Blanket.Table.delete(restored)
      iex> Enum.each([backup, path], &File.rm!/1)
  """
  @spec restore(Path.t(), Path.t()) :: :ok | {:error, term}
  def restore(backup, path) do
    {from, to} = {path!(backup), path!(path)}
    Durable.when_closed(fn -> Native.durable_restore(from, to) end)
  catch
    :error, :badarg -> badarg([backup, path])
  end

  @doc """
  Looks at all of a durable table's file, which nobody has open, or a backup: whether it is what was
  written there.

      iex> Blanket.Table.verify("/no/such/file")
      {:error, :enoent}
  """
  @spec verify(Path.t()) ::
          {:ok,
           %{
             type: :set | :ordered_set | :bag | :duplicate_bag,
             keypos: pos_integer,
             keys: non_neg_integer,
             objects: non_neg_integer
           }}
          | {:error, term}
  def verify(path) do
    file = path!(path)

    with {:ok, {type, keypos, keys, objects}} <-
           Durable.when_closed(fn -> Native.durable_verify(file) end),
         do: {:ok, %{type: type, keypos: keypos, keys: keys, objects: objects}}
  catch
    :error, :badarg -> badarg([path])
  end

  defp path!(path) do
    case Options.path(path) do
      {:ok, path} -> path
      :error -> :erlang.error(:badarg)
    end
  end

  @doc """
  Gives the table another name.

  The answer is the new name of a named table; a table without `:named_table` still goes by its
  reference, which is the answer then.

      iex> Blanket.Table.new(:before, [:named_table])
      iex> Blanket.Table.rename(:before, :after)
      :after
      iex> Blanket.Table.whereis(:before)
      :undefined
  """
  @spec rename(table, atom) :: table
  def rename(table, name) do
    Native.rename(table, name)
  catch
    :error, :badarg -> badarg([table, name])
  end

  @doc """
  Finds the reference of the table that has this name, or answers `:undefined`.

      iex> Blanket.Table.new(:found, [:named_table])
      iex> Blanket.Table.whereis(:found) == Blanket.Table.info(:found, :id)
      true
  """
  @spec whereis(atom) :: reference | :undefined
  def whereis(name) do
    Native.whereis(name)
  catch
    :error, :badarg -> badarg([name])
  end

  @doc """
  Lists all tables of the node: the named ones by name, the others by reference.

  Those of `:ets` are not among them.

      iex> Blanket.Table.new(:listed, [:named_table])
      iex> :listed in Blanket.Table.all()
      true
  """
  @spec all() :: [table]
  def all, do: Native.all()

  @info_items [
    :id,
    :decentralized_counters,
    :read_concurrency,
    :write_concurrency,
    :compressed,
    :memory,
    :owner,
    :heir,
    :name,
    :size,
    :node,
    :named_table,
    :type,
    :keypos,
    :protection
  ]

  @doc """
  Tells all about the table, or `:undefined` when there is no such table.

  The list holds `:id`, `:name`, `:named_table`, `:type`, `:keypos`, `:protection`, `:owner` (a pid, or
  `:none` when nobody owns the table), `:heir` (a pid, `:none` or `:immortal`), `:node`, `:size` (the
  number of objects), `:memory` (in words, all that the table holds) and the options that were given
  to `new/2`.

      iex> table = Blanket.Table.new(:known, [:bag, keypos: 2])
      iex> info = Blanket.Table.info(table)
      iex> {info[:type], info[:keypos], info[:size], info[:owner] == self()}
      {:bag, 2, 0, true}
  """
  @spec info(table) :: keyword | :undefined
  def info(table) do
    case facts(table) do
      :undefined -> :undefined
      facts -> for item <- @info_items, do: {item, fact(table, item, facts)}
    end
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Tells one thing about the table, or `:undefined` when there is no such table.

  See `info/1` for the items. There are more of them here:

    * `:fixed`: whether any process has fixed the table with `safe_fixtable/2`;
    * `:safe_fixed`: `false`, or `{since, [{pid, times}]}`, where `since` is the time of the first
      fixation as `:erlang.timestamp/0` tells it;
    * `:safe_fixed_monotonic_time`: the same with the time of `:erlang.monotonic_time/0`;
    * `:durable`: `false`, or of a durable table a map of the `:path` of its file, of `:sync` as it was
      given, and of `:state`, which is `:ok`, or `{:error, reason}` when what was changed last could not
      be written;
    * `:binary`: `{id, size, references}` of every binary that the table keeps outside the heap, for
      debugging. It copies one portion of the table after another.

      iex> table = Blanket.Table.new(:known, [:public])
      iex> Blanket.Table.insert(table, {:a, 1})
      iex> Blanket.Table.info(table, :size)
      1
  """
  @spec info(table, atom) :: term | :undefined
  def info(table, item) do
    case facts(table) do
      :undefined ->
        :undefined

      facts when item in @info_items ->
        fact(table, item, facts)

      facts when item in [:fixed, :safe_fixed, :safe_fixed_monotonic_time] ->
        fixation(item, facts)

      facts when item == :durable ->
        durable(facts.durable)

      _facts when item == :binary ->
        Binaries.of(table)

      _facts ->
        :erlang.error(:badarg)
    end
  catch
    :error, :badarg -> badarg([table, item])
  end

  defp facts(table) do
    with facts when is_map(facts) <- Native.info(table), do: Map.put(facts, :node, node())
  end

  defp fact(table, :size, %{snapshot: true}), do: Native.count(table)
  defp fact(_table, item, facts), do: :erlang.map_get(item, facts)

  defp durable(false), do: false
  defp durable({path, sync, state}), do: %{path: path, sync: sync(sync), state: state}

  defp sync(milliseconds) when is_integer(milliseconds), do: {:interval, milliseconds}
  defp sync(sync), do: sync

  defp fixation(:fixed, %{fixations: fixations}), do: fixations != false
  defp fixation(_item, %{fixations: false}), do: false

  defp fixation(:safe_fixed_monotonic_time, %{fixations: {since, fixing}}),
    do: {System.convert_time_unit(since, :nanosecond, :native), fixing}

  defp fixation(:safe_fixed, %{fixations: {since, fixing}}) do
    microseconds = div(since + System.time_offset(:nanosecond), 1000)
    seconds = div(microseconds, 1_000_000)
    {{div(seconds, 1_000_000), rem(seconds, 1_000_000), rem(microseconds, 1_000_000)}, fixing}
  end

  @doc """
  Changes the heir or the protection of a table that the calling process owns.

  Takes one option or a list of them: `{:heir, pid, data}`, `{:heir, pid}`, `{:heir, :none}`,
  `{:heir, :immortal}`, `{:protection, :public | :protected | :private}`.

      iex> table = Blanket.Table.new(:open, [:private])
      iex> Blanket.Table.setopts(table, [{:protection, :public}, {:heir, :immortal}])
      true
      iex> Blanket.Table.info(table, :heir)
      :immortal
  """
  @spec setopts(table, option | [option]) :: true
  def setopts(table, options) do
    case Options.read_changes(options) do
      {:ok, %{heir: heir, protection: protection}} -> Native.setopts(table, {heir, protection})
      {:error, _} -> :erlang.error(:badarg)
    end
  catch
    :error, :badarg -> badarg([table, options])
  end

  @doc """
  Makes another process of this node the owner of a table that the calling process owns.

  The new owner gets the message `{:"ETS-TRANSFER", table, from, data}`. The heir stays what it was.

      iex> table = Blanket.Table.new(:gift, [])
      iex> parent = self()
      iex> friend = spawn(fn ->
      ...>   receive do
      ...>     {:"ETS-TRANSFER", table, _from, :yours} -> send(parent, Blanket.Table.info(table, :owner))
      ...>   end
      ...> end)
      iex> Blanket.Table.give_away(table, friend, :yours)
      true
      iex> receive do
      ...>   owner -> owner == friend
      ...> end
      true
  """
  @spec give_away(table, pid, term) :: true
  def give_away(table, pid, data) do
    tell_heir(Native.give_away(table, pid, data))
  catch
    :error, :badarg -> badarg([table, pid, data])
  end

  defp tell_heir({:kept, ref}) do
    Heir.tell(ref)
    true
  end

  defp tell_heir(:ok), do: true

  @doc """
  Makes the calling process the owner of an orphan: a table whose owner has exited or let go of it.

  A table made with `{:heir, :immortal}` stays an orphan until somebody claims it; when it is private,
  nobody can use it or delete it before. It is found by its name, its reference, or among `all/0` by
  its `:owner`, which is `:none`. A table that Blanket keeps for an owner is claimed like any other;
  usually `Blanket.claim_table/2` and `Blanket.receive_table/2` do that. Of many processes that claim
  a table, one gets it. `:ets` has nothing like it.

  `{:error, :already_owned}` – a living process owns the table, be it the caller;
  `{:error, {:table_not_found, table}}` – there is no such table.

      iex> task = Task.async(fn -> Blanket.Table.new(:will, [:private, {:heir, :immortal}]) end)
      iex> table = Task.await(task)
      iex> Blanket.Table.claim(table)
      {:ok, table}
      iex> Blanket.Table.insert(table, {:a, 1})
      true
      iex> Blanket.Table.claim(table)
      {:error, :already_owned}
  """
  @spec claim(table) :: {:ok, table} | {:error, reason}
        when reason: :already_owned | {:table_not_found, term} | {:not_started, :blanket}
  def claim(table) do
    case Native.kept_as(table) do
      {:ok, ref} -> Blanket.claim_table(ref)
      {:error, :not_kept} -> with(:ok <- Native.claim(table, self()), do: {:ok, table})
    end
  catch
    :error, :badarg -> {:error, {:table_not_found, table}}
  end

  ## Write

  @doc """
  Inserts an object, or all objects of a list at once.

  In a `:set` or `:ordered_set` an object replaces the one with the same key; of several objects in
  the list with the same key the last stays. A `:bag` holds each object once, a `:duplicate_bag` as
  often as it was inserted; both keep the objects of a key in the order in which they were inserted,
  which is the order of the list for those of a list.

      iex> table = Blanket.Table.new(:drawer, [:bag])
      iex> Blanket.Table.insert(table, {:a, 1})
      true
      iex> Blanket.Table.insert(table, [{:a, 2}, {:b, 1}, {:a, 1}])
      true
      iex> Blanket.Table.lookup(table, :a)
      [{:a, 1}, {:a, 2}]
  """
  @spec insert(table, object | [object]) :: true
  def insert(table, object_or_objects) do
    settled(table, Native.insert(table, object_or_objects))
  catch
    :error, :badarg -> badarg([table, object_or_objects])
  end

  @doc """
  Inserts an object, or all objects of a list, unless the table holds any of their keys.

  Answers whether they were inserted. Of many processes that try the same key, one succeeds.

      iex> table = Blanket.Table.new(:once, [])
      iex> Blanket.Table.insert_new(table, {:a, 1})
      true
      iex> Blanket.Table.insert_new(table, [{:b, 1}, {:a, 2}])
      false
      iex> Blanket.Table.tab2list(table)
      [{:a, 1}]
  """
  @spec insert_new(table, object | [object]) :: boolean
  def insert_new(table, object_or_objects) do
    settled(table, Native.insert_new(table, object_or_objects))
  catch
    :error, :badarg -> badarg([table, object_or_objects])
  end

  @doc """
  Deletes all objects that have this key.

      iex> table = Blanket.Table.new(:drawer, [:bag])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:a, 2}])
      iex> Blanket.Table.delete(table, :a)
      true
      iex> Blanket.Table.member(table, :a)
      false
  """
  @spec delete(table, term) :: true
  def delete(table, key) do
    settled(table, Native.delete(table, key))
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Deletes all objects that have any of these keys, in one call.

  The objects of each key go at once; those of different keys one after the other. Nothing is deleted
  if `keys` is no proper list. `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:drawer, [:bag])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:a, 2}, {:b, 1}, {:c, 1}])
      iex> Blanket.Table.delete_many(table, [:a, :c, :d])
      true
      iex> Blanket.Table.tab2list(table)
      [{:b, 1}]
  """
  @spec delete_many(table, [term]) :: true
  def delete_many(table, keys) do
    settled(table, Native.delete_many(table, keys))
  catch
    :error, :badarg -> badarg([table, keys])
  end

  @doc """
  Deletes this very object, in a `:duplicate_bag` as often as it is there.

      iex> table = Blanket.Table.new(:drawer, [:bag])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:a, 2}])
      iex> Blanket.Table.delete_object(table, {:a, 1})
      true
      iex> Blanket.Table.lookup(table, :a)
      [{:a, 2}]
  """
  @spec delete_object(table, object) :: true
  def delete_object(table, object) do
    settled(table, Native.delete_object(table, object))
  catch
    :error, :badarg -> badarg([table, object])
  end

  @doc """
  Deletes all objects of the table, at once.

      iex> table = Blanket.Table.new(:drawer, [])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:b, 2}])
      iex> Blanket.Table.delete_all_objects(table)
      true
      iex> Blanket.Table.info(table, :size)
      0
  """
  @spec delete_all_objects(table) :: true
  def delete_all_objects(table) do
    settled(table, Native.delete_all_objects(table))
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Deletes all objects that have this key and answers them, as `lookup/2` would.

  Of many processes that take the same key, one gets the objects, and the others get `[]`.

      iex> table = Blanket.Table.new(:queue, [:duplicate_bag])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:a, 1}])
      iex> Blanket.Table.take(table, :a)
      [{:a, 1}, {:a, 1}]
      iex> Blanket.Table.take(table, :a)
      []
  """
  @spec take(table, term) :: [object]
  def take(table, key) do
    settled(table, Native.take(table, key))
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Adds to integers in the one object that has this key, and answers what they are then.

  For tables of the types `:set` and `:ordered_set`. `{pos, increment}` adds to the element at `pos`;
  `{pos, increment, threshold, reset}` sets the element to `reset` where it would go beyond
  `threshold` (below it, if `increment` is negative); a mere `increment` adds to the element after the
  key. A list of operations is done in order, and answered by the list of their results.

      iex> table = Blanket.Table.new(:counts, [])
      iex> Blanket.Table.insert(table, {:hits, 1, 8})
      iex> Blanket.Table.update_counter(table, :hits, 2)
      3
      iex> Blanket.Table.update_counter(table, :hits, [{2, -1}, {3, 4, 10, 0}])
      [2, 0]
  """
  @spec update_counter(table, term, integer | counter_operation | [counter_operation]) ::
          integer | [integer]
  def update_counter(table, key, operations) do
    settled(table, Native.update_counter(table, key, operations))
  catch
    :error, :badarg -> badarg([table, key, operations])
  end

  @doc """
  Does as `update_counter/3`, on `default` where no object has this key.

  The default is inserted with `key` for its own key, whatever stands there in it.

      iex> table = Blanket.Table.new(:counts, [])
      iex> Blanket.Table.update_counter(table, :hits, 5, {nil, 0})
      5
      iex> Blanket.Table.lookup(table, :hits)
      [{:hits, 5}]
  """
  @spec update_counter(table, term, integer | counter_operation | [counter_operation], object) ::
          integer | [integer]
  def update_counter(table, key, operations, default) do
    settled(table, Native.update_counter(table, key, operations, default))
  catch
    :error, :badarg -> badarg([table, key, operations, default])
  end

  @doc """
  Sets elements of the one object that has this key: `{pos, value}`, or a list of such.

  For tables of the types `:set` and `:ordered_set`. Answers `false` when no object has the key. The
  key itself cannot be set.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada", 36})
      iex> Blanket.Table.update_element(table, 1, [{2, "Ada L."}, {3, 37}])
      true
      iex> Blanket.Table.lookup(table, 1)
      [{1, "Ada L.", 37}]
  """
  @spec update_element(table, term, {pos_integer, term} | [{pos_integer, term}]) :: boolean
  def update_element(table, key, elements) do
    settled(table, Native.update_element(table, key, elements))
  catch
    :error, :badarg -> badarg([table, key, elements])
  end

  @doc """
  Does as `update_element/3`, on `default` where no object has this key.

  The default is inserted with `key` for its own key. In `:ets` from OTP 27 on.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.update_element(table, 1, {3, 37}, {nil, "Ada", 0})
      true
      iex> Blanket.Table.lookup(table, 1)
      [{1, "Ada", 37}]
  """
  @spec update_element(table, term, {pos_integer, term} | [{pos_integer, term}], object) ::
          boolean
  def update_element(table, key, elements, default) do
    settled(table, Native.update_element(table, key, elements, default))
  catch
    :error, :badarg -> badarg([table, key, elements, default])
  end

  @doc """
  Replaces `old`, this very object, by `new`, which has the same key; answers whether it was there.

  For tables of the types `:set` and `:ordered_set`. Of many processes that replace the same object, one
  succeeds. `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:state, [])
      iex> Blanket.Table.insert(table, {:door, :open})
      iex> Blanket.Table.compare_and_swap(table, {:door, :open}, {:door, :closed})
      true
      iex> Blanket.Table.compare_and_swap(table, {:door, :open}, {:door, :locked})
      false
  """
  @spec compare_and_swap(table, object, object) :: boolean
  def compare_and_swap(table, old, new) do
    settled(table, Native.compare_and_swap(table, old, new))
  catch
    :error, :badarg -> badarg([table, old, new])
  end

  @doc """
  Replaces the one object that has this key by what `fun` makes of it, or inserts `default` where there
  is none, and answers the object that is there then.

  For tables of the types `:set` and `:ordered_set`. `fun` runs in the calling process and may do
  anything; when the object was changed meanwhile, it is called again with the one that is there now. Its
  answer has the same key. The default is inserted with `key` for its own key, and is not given to `fun`.
  `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:scores, [])
      iex> double = fn {name, score} -> {name, 2 * score} end
      iex> Blanket.Table.update(table, "Ada", {"Ada", 1}, double)
      {"Ada", 1}
      iex> Blanket.Table.update(table, "Ada", {"Ada", 1}, double)
      {"Ada", 2}
  """
  @spec update(table, term, object, (object -> object)) :: object
  def update(table, key, default, fun) do
    case find_or_insert(table, key, default, fun) do
      {:found, old} ->
        new = fun.(old)

        case swap(table, old, new) do
          true ->
            new

          false ->
            update(table, key, default, fun)

          :badarg ->
            args = [table, key, default, fun]
            :erlang.error(:badarg, args, error_info: Error.info(:update, args ++ [new]))
        end

      {:inserted, object} ->
        object

      :changed ->
        update(table, key, default, fun)

      :badarg ->
        badarg([table, key, default, fun])
    end
  end

  defp find_or_insert(table, key, default, fun) when is_tuple(default) and is_function(fun, 1) do
    with :error <- Native.fetch(table, key) do
      object = put_elem(default, Native.info(table).keypos - 1, key)
      inserted? = settled(table, Native.insert_new(table, object))
      if inserted?, do: {:inserted, object}, else: :changed
    else
      {:ok, object} -> {:found, object}
    end
  rescue
    # The table may be deleted between the calls.
    _error in [ArgumentError, BadMapError, KeyError] -> :badarg
  end

  defp find_or_insert(_table, _key, _default, _fun), do: :badarg

  defp swap(table, old, new) do
    settled(table, Native.compare_and_swap(table, old, new))
  catch
    :error, :badarg -> :badarg
  end

  ## Read

  @doc """
  Answers all objects that have this key: none or one for a `:set` or `:ordered_set`, and in the order
  in which they were inserted for a `:bag` or `:duplicate_bag`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.lookup(table, 1)
      [{1, "Ada"}]
      iex> Blanket.Table.lookup(table, 2)
      []
  """
  @spec lookup(table, term) :: [object]
  def lookup(table, key) do
    Native.lookup(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Answers the element at `pos` of the object that has this key; for a `:bag` or `:duplicate_bag` the
  list of those of all objects that have it.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.lookup_element(table, 1, 2)
      "Ada"
  """
  @spec lookup_element(table, term, pos_integer) :: term | [term]
  def lookup_element(table, key, pos) do
    Native.lookup_element(table, key, pos)
  catch
    :error, :badarg -> badarg([table, key, pos])
  end

  @doc """
  Does as `lookup_element/3`, and answers `default` where no object has this key.

  In `:ets` from OTP 26 on.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.lookup_element(table, 1, 2, "nobody")
      "nobody"
  """
  @spec lookup_element(table, term, pos_integer, default) :: term | [term] | default
        when default: term
  def lookup_element(table, key, pos, default) do
    Native.lookup_element(table, key, pos, default)
  catch
    :error, :badarg -> badarg([table, key, pos, default])
  end

  @doc """
  Tells whether any object has this key.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> {Blanket.Table.member(table, 1), Blanket.Table.member(table, 1.0)}
      {true, false}
  """
  @spec member(table, term) :: boolean
  def member(table, key) do
    Native.member(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Lists all objects of the table, an `:ordered_set`'s in the order of their keys.

  Objects that are there from the beginning of the call to its end are listed once; those that come or
  go meanwhile may be listed or not.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.tab2list(table)
      [{1, :a}, {2, :b}]
  """
  @spec tab2list(table) :: [object]
  def tab2list(table) do
    Native.tab2list(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Answers `{:ok, object}` for the one object that has this key, or `:error`.

  For tables of the types `:set` and `:ordered_set`. `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.fetch(table, 1)
      {:ok, {1, "Ada"}}
      iex> Blanket.Table.fetch(table, 2)
      :error
  """
  @spec fetch(table, term) :: {:ok, object} | :error
  def fetch(table, key) do
    Native.fetch(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Answers the one object that has this key, and raises `KeyError` where there is none.

  For tables of the types `:set` and `:ordered_set`. `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.fetch!(table, 1)
      {1, "Ada"}
  """
  @spec fetch!(table, term) :: object
  def fetch!(table, key) do
    case Native.fetch(table, key) do
      {:ok, object} -> object
      :error -> raise KeyError, key: key, term: table
    end
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Answers the one object that has this key, or `default`.

  For tables of the types `:set` and `:ordered_set`. `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.get(table, 1)
      {1, "Ada"}
      iex> Blanket.Table.get(table, 2, {2, "nobody"})
      {2, "nobody"}
  """
  @spec get(table, term) :: object | nil
  @spec get(table, term, default) :: object | default when default: term
  def get(table, key, default \\ nil) do
    Native.get(table, key, default)
  catch
    :error, :badarg -> badarg([table, key, default])
  end

  @doc """
  Looks up many keys in one call: answers for each key, in their order, what `lookup/2` would.

  Each look-up for itself shows one instant of its key; changes may come in between. `:ets` has nothing
  like it.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> Blanket.Table.lookup_many(table, [2, 3, 1])
      [[{2, "Grace"}], [], [{1, "Ada"}]]
  """
  @spec lookup_many(table, [term]) :: [[object]]
  def lookup_many(table, keys) do
    _ = length(keys)
    Native.lookup_many(table, :lists.reverse(keys))
  catch
    :error, :badarg -> badarg([table, keys])
  end

  ## Match

  @typedoc "What an object has to look like: see `:ets.match/2`."
  @type match_pattern :: atom | tuple

  @typedoc "Patterns, guards and results: see `:ets.match_spec_compile/1` and *Match Specifications in Erlang*."
  @type match_spec :: [{match_pattern, [term], [term]}]

  @typedoc "Where a search with a limit goes on. To be passed on, not to be looked into."
  @type continuation :: tuple | :"$end_of_table"

  @doc """
  Matches the objects with a pattern, and answers for each the list of what its variables are bound to,
  in the order of their numbers.

  In a pattern `:_` matches anything, and `:"$1"`, `:"$2"` … match anything and are bound to it; where
  one stands twice, both have to be the same (`===`). All else matches what it is identical to, maps
  also those that have more keys.

  The order of the answers is that of the keys for an `:ordered_set`, and any else. Objects that are
  there from the beginning of the call to its end are matched exactly once; those that come or go
  meanwhile may be matched or not. This is so for all functions of this section.

  When the key is all given in the pattern, it is looked up. When its beginning is given, as in
  `{:user, 7, :_}`, only what begins so is looked at in an `:ordered_set`.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada", :math}, {2, "Grace", :code}, {3, "Emmy", :math}])
      iex> Blanket.Table.match(table, {:"$1", :"$2", :math})
      [[1, "Ada"], [3, "Emmy"]]
  """
  @spec match(table, match_pattern) :: [[term]]
  def match(table, pattern) do
    MatchSpec.select(table, [{pattern, [], [:"$$"]}])
  catch
    :error, :badarg -> badarg([table, pattern])
  end

  @doc """
  Does as `match/2`, and answers `limit` matches together with a continuation for `match/1`, or
  `:"$end_of_table"` when there is none.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}, {3, "Emmy"}])
      iex> {matches, continuation} = Blanket.Table.match(table, {:_, :"$1"}, 2)
      iex> matches
      [["Ada"], ["Grace"]]
      iex> Blanket.Table.match(continuation)
      {[["Emmy"]], :"$end_of_table"}
  """
  @spec match(table, match_pattern, pos_integer) :: {[[term]], continuation} | :"$end_of_table"
  def match(table, pattern, limit) do
    MatchSpec.select(table, [{pattern, [], [:"$$"]}], limit)
  catch
    :error, :badarg -> badarg([table, pattern, limit])
  end

  @doc """
  Goes on where `match/3` or `match/1` stopped.

  A continuation may be sent to another process, which has to be allowed to read the table. One that
  was stored is made usable again by `repair_continuation/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> {[["Ada"]], continuation} = Blanket.Table.match(table, {:_, :"$1"}, 1)
      iex> Blanket.Table.match(continuation)
      :"$end_of_table"
  """
  @spec match(continuation) :: {[[term]], continuation} | :"$end_of_table"
  def match(continuation) do
    MatchSpec.select(continuation)
  catch
    :error, :badarg -> badarg([continuation])
  end

  @doc """
  Answers the objects that match a pattern; see `match/2` for patterns.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada", :math}, {2, "Grace", :code}, {3, "Emmy", :math}])
      iex> Blanket.Table.match_object(table, {:_, :_, :math})
      [{1, "Ada", :math}, {3, "Emmy", :math}]
  """
  @spec match_object(table, match_pattern) :: [object]
  def match_object(table, pattern) do
    MatchSpec.select(table, [{pattern, [], [:"$_"]}])
  catch
    :error, :badarg -> badarg([table, pattern])
  end

  @doc """
  Does as `match_object/2`, and answers `limit` objects together with a continuation for
  `match_object/1`, or `:"$end_of_table"` when there is none.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> {objects, _continuation} = Blanket.Table.match_object(table, :_, 1)
      iex> objects
      [{1, "Ada"}]
  """
  @spec match_object(table, match_pattern, pos_integer) ::
          {[object], continuation} | :"$end_of_table"
  def match_object(table, pattern, limit) do
    MatchSpec.select(table, [{pattern, [], [:"$_"]}], limit)
  catch
    :error, :badarg -> badarg([table, pattern, limit])
  end

  @doc """
  Goes on where `match_object/3` or `match_object/1` stopped.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> {_objects, continuation} = Blanket.Table.match_object(table, :_, 1)
      iex> {objects, _continuation} = Blanket.Table.match_object(continuation)
      iex> objects
      [{2, "Grace"}]
  """
  @spec match_object(continuation) :: {[object], continuation} | :"$end_of_table"
  def match_object(continuation) do
    MatchSpec.select(continuation)
  catch
    :error, :badarg -> badarg([continuation])
  end

  @doc """
  Deletes the objects that match a pattern; see `match/2` for patterns.

  Each object is deleted for itself, at one instant.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, "Ada", :math}, {2, "Grace", :code}])
      iex> Blanket.Table.match_delete(table, {:_, :_, :math})
      true
      iex> Blanket.Table.tab2list(table)
      [{2, "Grace", :code}]
  """
  @spec match_delete(table, match_pattern) :: true
  def match_delete(table, pattern) do
    settled(table, MatchSpec.select_delete(table, [{pattern, [], [true]}]))
    true
  catch
    :error, :badarg -> badarg([table, pattern])
  end

  @doc """
  Runs a match specification on the objects and answers the results.

  A match specification is a list of `{pattern, guards, results}`. For each object, the first of them
  whose pattern matches and whose guards are all true makes the result. A guard that fails is not
  true; a function that fails in a result answers `:EXIT`. `fun2ms/1` and `:ets.fun2ms/1` make match
  specifications of functions.

  When the patterns give the whole key, the keys are looked up. In an `:ordered_set`, only what has
  the beginning of the key that a pattern gives is looked at; guards that compare a variable with a
  value narrow that further, when the variable is the key or what follows the known beginning of it:

      iex> table = Blanket.Table.new(:orders, [:ordered_set])
      iex> Blanket.Table.insert(table, for(user <- 1..9, day <- 1..365, do: {{user, day}, :paid}))
      iex> in_june = [{:>=, :"$1", 152}, {:<, :"$1", 182}]
      iex> length(Blanket.Table.select(table, [{{{7, :"$1"}, :_}, in_june, [:"$1"]}]))
      30

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada", 36}, {2, "Grace", 85}, {3, "Emmy", 53}])
      iex> Blanket.Table.select(table, [{{:_, :"$1", :"$2"}, [{:>, :"$2", 50}], [{{:"$1", :"$2"}}]}])
      [{"Grace", 85}, {"Emmy", 53}]
  """
  @spec select(table, match_spec) :: [term]
  def select(table, match_spec) do
    MatchSpec.select(table, match_spec)
  catch
    :error, :badarg -> badarg([table, match_spec])
  end

  @doc """
  Does as `select/2`, and answers `limit` results together with a continuation for `select/1`, or
  `:"$end_of_table"` when there is none.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}, {3, "Emmy"}])
      iex> {results, continuation} = Blanket.Table.select(table, [{{:"$1", :_}, [], [:"$1"]}], 2)
      iex> results
      [1, 2]
      iex> Blanket.Table.select(continuation)
      {[3], :"$end_of_table"}
  """
  @spec select(table, match_spec, pos_integer) :: {[term], continuation} | :"$end_of_table"
  def select(table, match_spec, limit) do
    MatchSpec.select(table, match_spec, limit)
  catch
    :error, :badarg -> badarg([table, match_spec, limit])
  end

  @doc """
  Goes on where `select/3` or `select/1` stopped; see `match/1` for continuations.

      iex> Blanket.Table.select(:"$end_of_table")
      :"$end_of_table"
  """
  @spec select(continuation) :: {[term], continuation} | :"$end_of_table"
  def select(continuation) do
    MatchSpec.select(continuation)
  catch
    :error, :badarg -> badarg([continuation])
  end

  @doc """
  Does as `select/2`, from the last object of an `:ordered_set` to the first; for other types there is
  no difference.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> Blanket.Table.select_reverse(table, [{{:_, :"$1"}, [], [:"$1"]}])
      ["Grace", "Ada"]
  """
  @spec select_reverse(table, match_spec) :: [term]
  def select_reverse(table, match_spec) do
    MatchSpec.select_reverse(table, match_spec)
  catch
    :error, :badarg -> badarg([table, match_spec])
  end

  @doc """
  Does as `select/3`, from the last object of an `:ordered_set` to the first.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> {results, _continuation} = Blanket.Table.select_reverse(table, [{:_, [], [:"$_"]}], 1)
      iex> results
      [{2, "Grace"}]
  """
  @spec select_reverse(table, match_spec, pos_integer) ::
          {[term], continuation} | :"$end_of_table"
  def select_reverse(table, match_spec, limit) do
    MatchSpec.select_reverse(table, match_spec, limit)
  catch
    :error, :badarg -> badarg([table, match_spec, limit])
  end

  @doc """
  Goes on where `select_reverse/3` or `select_reverse/1` stopped.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> {_results, continuation} = Blanket.Table.select_reverse(table, [{:_, [], [:"$_"]}], 1)
      iex> {results, _continuation} = Blanket.Table.select_reverse(continuation)
      iex> results
      [{1, "Ada"}]
  """
  @spec select_reverse(continuation) :: {[term], continuation} | :"$end_of_table"
  def select_reverse(continuation) do
    MatchSpec.select(continuation)
  catch
    :error, :badarg -> badarg([continuation])
  end

  @doc """
  Counts the objects for which the match specification results in `true`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, 36}, {2, 85}, {3, 53}])
      iex> Blanket.Table.select_count(table, [{{:_, :"$1"}, [{:>, :"$1", 50}], [true]}])
      2
  """
  @spec select_count(table, match_spec) :: non_neg_integer
  def select_count(table, match_spec) do
    MatchSpec.select_count(table, match_spec)
  catch
    :error, :badarg -> badarg([table, match_spec])
  end

  @doc """
  Deletes the objects for which the match specification results in `true`, and answers how many these
  were.

  Each object is deleted for itself, at one instant, and only if it matches at that instant.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, 36}, {2, 85}, {3, 53}])
      iex> Blanket.Table.select_delete(table, [{{:_, :"$1"}, [{:>, :"$1", 50}], [true]}])
      2
      iex> Blanket.Table.tab2list(table)
      [{1, 36}]
  """
  @spec select_delete(table, match_spec) :: non_neg_integer
  def select_delete(table, match_spec) do
    settled(table, MatchSpec.select_delete(table, match_spec))
  catch
    :error, :badarg -> badarg([table, match_spec])
  end

  @doc """
  Replaces the objects that match by the results of the match specification, and answers how many these
  were.

  Each object is matched and replaced at one instant: with the expected object in the pattern this is a
  compare-and-swap. The key must stay the same, and the match specification has to show that: it
  results in `:"$_"` or in a tuple with the same key expression. Not for tables of type `:bag`.

      iex> table = Blanket.Table.new(:counts, [])
      iex> Blanket.Table.insert(table, {:hits, 5})
      iex> swap = fn old, new -> [{{:hits, old}, [], [{{:hits, new}}]}] end
      iex> Blanket.Table.select_replace(table, swap.(4, 7))
      0
      iex> Blanket.Table.select_replace(table, swap.(5, 6))
      1
      iex> Blanket.Table.lookup(table, :hits)
      [{:hits, 6}]
  """
  @spec select_replace(table, match_spec) :: non_neg_integer
  def select_replace(table, match_spec) do
    settled(table, MatchSpec.select_replace(table, match_spec))
  catch
    :error, :badarg -> badarg([table, match_spec])
  end

  @doc """
  Makes a continuation usable again that was stored, for example by `:erlang.term_to_binary/1`, and so
  has lost its compiled match specification. The match specification is the one that the search was
  begun with; for `match/3` and `match_object/3` it is `[{pattern, [], [:"$$"]}]` and
  `[{pattern, [], [:"$_"]}]`.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> match_spec = [{{:_, :"$1"}, [], [:"$1"]}]
      iex> {["Ada"], continuation} = Blanket.Table.select(table, match_spec, 1)
      iex> stored = :erlang.term_to_binary(continuation)
      iex> restored = Blanket.Table.repair_continuation(:erlang.binary_to_term(stored), match_spec)
      iex> {results, _continuation} = Blanket.Table.select(restored)
      iex> results
      ["Grace"]
  """
  @spec repair_continuation(continuation, match_spec) :: continuation
  def repair_continuation(continuation, match_spec) do
    MatchSpec.repair_continuation(continuation, match_spec)
  catch
    :error, :badarg -> badarg([continuation, match_spec])
  end

  ## Match specifications without a table: those of :ets

  @doc """
  Makes a match specification of a function that was typed into a shell, as `:ets.fun2ms/1` does. In
  compiled Erlang code the parse transform `ms_transform` does it, for calls of `ets:fun2ms/1`.

      iex> {:value, fun, _} =
      ...>   :erl_eval.exprs(
      ...>     elem(:erl_parse.parse_exprs(elem(:erl_scan.string(~c"fun({K, V}) when V > 1 -> K end."), 1)), 1),
      ...>     []
      ...>   )
      iex> Blanket.Table.fun2ms(fun)
      [{{:"$1", :"$2"}, [{:>, :"$2", 1}], [:"$1"]}]
  """
  @spec fun2ms(function) :: match_spec
  defdelegate fun2ms(fun), to: :ets

  @doc """
  Runs a match specification on one tuple: `{:ok, result}`, where the result is `false` when nothing
  matches, or `{:error, errors}` when the match specification is wrong.

      iex> Blanket.Table.test_ms({1, "Ada"}, [{{:"$1", :_}, [], [:"$1"]}])
      {:ok, 1}
  """
  @spec test_ms(tuple, match_spec) :: {:ok, term} | {:error, [{:warning | :error, charlist}]}
  defdelegate test_ms(tuple, match_spec), to: :ets

  @doc """
  Compiles a match specification for `match_spec_run/2`.

      iex> compiled = Blanket.Table.match_spec_compile([{{:"$1", :_}, [], [:"$1"]}])
      iex> Blanket.Table.match_spec_run([{1, "Ada"}, {2, "Grace"}], compiled)
      [1, 2]
  """
  @spec match_spec_compile(match_spec) :: :ets.compiled_match_spec()
  defdelegate match_spec_compile(match_spec), to: :ets

  @doc """
  Runs a compiled match specification on a list of terms.

      iex> compiled = Blanket.Table.match_spec_compile([{{:"$1", 1}, [], [:"$1"]}])
      iex> Blanket.Table.match_spec_run([{:a, 1}, {:b, 2}], compiled)
      [:a]
  """
  @spec match_spec_run([term], :ets.compiled_match_spec()) :: [term]
  defdelegate match_spec_run(list, compiled_match_spec), to: :ets

  @doc """
  Tells whether a term is a compiled match specification, made by `match_spec_compile/1` and still
  usable.

      iex> Blanket.Table.is_compiled_ms(Blanket.Table.match_spec_compile([{:_, [], [true]}]))
      true
  """
  @spec is_compiled_ms(term) :: boolean
  defdelegate is_compiled_ms(term), to: :ets

  ## Step

  @doc """
  Answers the first key: the least of an `:ordered_set`, any for other types, `:"$end_of_table"` for an
  empty table.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.first(table)
      :"$end_of_table"
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.first(table)
      1
  """
  @spec first(table) :: term | :"$end_of_table"
  def first(table) do
    Native.first(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Answers the last key of an `:ordered_set`; for other types the same as `first/1`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.last(table)
      2
  """
  @spec last(table) :: term | :"$end_of_table"
  def last(table) do
    Native.last(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Answers the key after `key`, or `:"$end_of_table"`.

  An `:ordered_set` need not hold `key`; the other types fail when they do not.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, :a}, {3, :c}])
      iex> Blanket.Table.next(table, 2)
      3
      iex> Blanket.Table.next(table, 3)
      :"$end_of_table"
  """
  @spec next(table, term) :: term | :"$end_of_table"
  def next(table, key) do
    Native.next(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Answers the key before `key` of an `:ordered_set`, or `:"$end_of_table"`; for other types the same as
  `next/2`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, :a}, {3, :c}])
      iex> Blanket.Table.prev(table, 2)
      1
  """
  @spec prev(table, term) :: term | :"$end_of_table"
  def prev(table, key) do
    Native.prev(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Does as `first/1`, and answers the key along with its objects.

  In `:ets` from OTP 27 on.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.first_lookup(table)
      {1, [{1, :a}]}
  """
  @spec first_lookup(table) :: {term, [object]} | :"$end_of_table"
  def first_lookup(table) do
    Native.first_lookup(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Does as `last/1`, and answers the key along with its objects.

  In `:ets` from OTP 27 on.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.last_lookup(table)
      {2, [{2, :b}]}
  """
  @spec last_lookup(table) :: {term, [object]} | :"$end_of_table"
  def last_lookup(table) do
    Native.last_lookup(table)
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Does as `next/2`, and answers the key along with its objects.

  In `:ets` from OTP 27 on.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, :a}, {3, :c}])
      iex> Blanket.Table.next_lookup(table, 1)
      {3, [{3, :c}]}
  """
  @spec next_lookup(table, term) :: {term, [object]} | :"$end_of_table"
  def next_lookup(table, key) do
    Native.next_lookup(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Does as `prev/2`, and answers the key along with its objects.

  In `:ets` from OTP 27 on.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, :a}, {3, :c}])
      iex> Blanket.Table.prev_lookup(table, 3)
      {1, [{1, :a}]}
  """
  @spec prev_lookup(table, term) :: {term, [object]} | :"$end_of_table"
  def prev_lookup(table, key) do
    Native.prev_lookup(table, key)
  catch
    :error, :badarg -> badarg([table, key])
  end

  @doc """
  Answers the objects of one slot, `:"$end_of_table"` for the slot behind the last.

  Slots are numbered from 0, and all of them together hold every object once. An `:ordered_set` has as
  many as objects, in their order. Another table always has 4096, so that a traversal by slots sees what
  is there throughout, whatever is inserted or deleted meanwhile.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> for slot <- 0..2, do: Blanket.Table.slot(table, slot)
      [[{1, :a}], [{2, :b}], :"$end_of_table"]
  """
  @spec slot(table, non_neg_integer) :: [object] | :"$end_of_table"
  def slot(table, slot) do
    Native.slot(table, slot)
  catch
    :error, :badarg -> badarg([table, slot])
  end

  @doc """
  Fixes the table for the calling process, or takes one such fixation back.

  A traversal with `first/1` and `next/2` sees what is there throughout exactly once, with or without a
  fixation. But unless the table is fixed, `next/2` fails in a table that is no `:ordered_set` when its
  key was deleted meanwhile; in a fixed one it goes on behind that key.

  A table is fixed until every process that fixed it has released it as many times, or exited. It costs
  nothing: what is deleted is deleted at once.

      iex> table = Blanket.Table.new(:fixed, [])
      iex> Blanket.Table.insert(table, for(i <- 1..9, do: {i}))
      iex> Blanket.Table.safe_fixtable(table, true)
      iex> key = Blanket.Table.first(table)
      iex> Blanket.Table.delete(table, key)
      iex> Blanket.Table.next(table, key) in 1..9
      true
      iex> Blanket.Table.safe_fixtable(table, false)
      true
  """
  @spec safe_fixtable(table, boolean) :: true
  def safe_fixtable(table, fix?) do
    Native.safe_fixtable(table, fix?)
  catch
    :error, :badarg -> badarg([table, fix?])
  end

  ## Snapshots

  @doc """
  Keeps what a table has now, or what several tables have at this instant.

  `{:ok, snapshot}`, or for a list of tables `{:ok, snapshots}` in their order: references that every
  reading function takes in place of a table. It takes the same time for ten objects as for ten million,
  and no writer waits. The snapshot is not changed by anything: neither by writers, nor when the table
  gets another owner or name, or is deleted. Who may read the table may read the snapshot; of a private
  table that has been deleted, the owner of the snapshot. `info/2` tells of the table as it was, but for:

    * `:owner`: the process that took it. `give_away/3` gives it to another one;
    * `:size`: the number of objects. They are counted, a portion after the other;
    * `:memory`: what is kept for it, in words: what has been changed since, with its surroundings, as it
      was.

  A snapshot ends when it is released, when its owner exits, and when no process has it any more. To write
  to it fails, as does to take a snapshot of it. `:ets` has nothing like it. The guide
  *Snapshots and compare-and-swap* says exactly what is guaranteed, and what it costs.

      iex> table = Blanket.Table.new(:scores, [:ordered_set])
      iex> Blanket.Table.insert(table, [{"Ada", 1}, {"Grace", 2}])
      iex> {:ok, snapshot} = Blanket.Table.snapshot(table)
      iex> Blanket.Table.delete(table, "Ada")
      iex> Blanket.Table.tab2list(snapshot)
      [{"Ada", 1}, {"Grace", 2}]
      iex> Blanket.Table.release(snapshot)
      :ok
  """
  @few_tables 100

  @spec snapshot(table) :: {:ok, snapshot}
  @spec snapshot([table]) :: {:ok, [snapshot]}
  def snapshot(tables) when is_list(tables) do
    few? = length(tables) <= @few_tables
    {:ok, if(few?, do: Native.snapshot(tables), else: Native.snapshot_many(tables))}
  catch
    :error, :badarg -> badarg([tables])
  end

  def snapshot(table) do
    [snapshot] = Native.snapshot([table])
    {:ok, snapshot}
  catch
    :error, :badarg -> badarg([table])
  end

  @doc """
  Ends a snapshot, or a list of them, before its owner does.

  Any process that may read it may release it. To read it fails from then on; what was kept for it is
  given back in the background. To release it again does nothing.

      iex> table = Blanket.Table.new(:scores, [])
      iex> {:ok, snapshots} = Blanket.Table.snapshot([table, table])
      iex> Blanket.Table.release(snapshots)
      :ok
  """
  @spec release(snapshot | [snapshot]) :: :ok
  def release(snapshots) do
    Snapshot.release(snapshots)
  catch
    :error, :badarg -> badarg([snapshots])
  end

  @doc """
  Calls `fun` with a snapshot of a table, or with the snapshots of a list of tables, and answers what it
  answers. The snapshot is released then, be it by an exception.

      iex> table = Blanket.Table.new(:scores, [])
      iex> Blanket.Table.insert(table, {"Ada", 1})
      iex> Blanket.Table.with_snapshot(table, fn snapshot ->
      ...>   Blanket.Table.delete_all_objects(table)
      ...>   Blanket.Table.lookup(snapshot, "Ada")
      ...> end)
      [{"Ada", 1}]
  """
  @spec with_snapshot(table, (snapshot -> result)) :: result when result: term
  @spec with_snapshot([table], ([snapshot] -> result)) :: result when result: term
  def with_snapshot(tables, fun) do
    {:ok, taken} = snapshot(tables)
    Snapshot.run(taken, fun)
  end

  ## The whole table

  @doc """
  Calls `fun` on each object and what it answered for the one before, `acc` for the first, and answers
  what it answered for the last.

  An `:ordered_set` is gone through in the order of its keys. What was there at the beginning of the call
  is seen, from a snapshot of its own: what is inserted or deleted meanwhile, by `fun` or by others, does
  not matter. Objects are copied to the calling process in portions, never the whole table.

      iex> table = Blanket.Table.new(:prices, [])
      iex> Blanket.Table.insert(table, [{:apple, 3}, {:pear, 4}])
      iex> Blanket.Table.foldl(fn {_, price}, sum -> sum + price end, 0, table)
      7
  """
  @spec foldl((object, acc -> acc), acc, table) :: acc when acc: term
  def foldl(fun, acc, table) do
    fixed(table, fn snapshot ->
      by_portions(:start, &Native.scan(snapshot, &1), fun, acc)
    end)
  end

  @doc """
  Does as `foldl/3`, from the last key of an `:ordered_set` to the first.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2, :b}, {1, :a}])
      iex> Blanket.Table.foldr(fn {key, _}, keys -> [key | keys] end, [], table)
      [1, 2]
  """
  @spec foldr((object, acc -> acc), acc, table) :: acc when acc: term
  def foldr(fun, acc, table) do
    fixed(table, fn snapshot ->
      if info(snapshot, :type) == :ordered_set,
        do: by_portions(:start, &Native.scan_back(snapshot, &1), fun, acc),
        else: by_keys(Native.last_lookup(snapshot), &Native.prev_lookup(snapshot, &1), fun, acc)
    end)
  end

  defp by_portions(:"$end_of_table", _portion, _fun, acc), do: acc

  defp by_portions(from, portion, fun, acc) do
    {objects, next} = portion.(from)
    by_portions(next, portion, fun, :lists.foldl(fun, acc, objects))
  end

  # The last object of a key comes first.
  defp by_keys(:"$end_of_table", _step, _fun, acc), do: acc

  defp by_keys({key, objects}, step, fun, acc),
    do: by_keys(step.(key), step, fun, :lists.foldr(fun, acc, objects))

  # To `fun` the table is fixed, as in :ets.
  defp fixed(table, fun) do
    safe_fixtable(table, true)

    try do
      Snapshot.of(table, fun)
    after
      safe_fixtable(table, false)
    end
  end

  @doc """
  Replaces the objects of the table by those that `fun` supplies.

  `fun.(:read)` answers `{objects, fun}` with the fun that supplies those that follow, or
  `:end_of_input`. When the objects cannot be inserted, `fun.(:close)` is called, and the caller exits
  with the reason; when `fun` answers anything else, the caller exits with that.

      iex> table = Blanket.Table.new(:filled, [])
      iex> Blanket.Table.init_table(table, fn :read -> {[{1}, {2}], fn :read -> :end_of_input end} end)
      true
      iex> Blanket.Table.info(table, :size)
      2
  """
  @spec init_table(table, (:read | :close -> term)) :: true
  def init_table(table, fun) do
    delete_all_objects(table)
    fill(table, fun.(:read))
  end

  defp fill(_table, :end_of_input), do: true

  defp fill(table, {objects, fun}) when is_list(objects) and is_function(fun) do
    try do
      Enum.each(objects, &insert(table, &1))
    catch
      :error, reason ->
        close(fun)
        exit({reason, __STACKTRACE__})
    end

    fill(table, fun.(:read))
  end

  defp fill(_table, other), do: exit(other)

  defp close(fun) do
    fun.(:close)
  catch
    _, _ -> :ok
  end

  @doc """
  Makes a handle for queries with `:qlc` over the table.

  Options, one or a list of them:

    * `{:traverse, method}`: how the table is gone through when a query is not a look-up of keys:
      `:select` (the default), `{:select, match_spec}`, `:first_next` or `:last_prev`;
    * `{:n_objects, n}`: how many objects `:select` fetches at a time, `:default` for 100.

  The table is fixed while a query runs. Keys that a query is bound to are looked up.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> handle = Blanket.Table.table(table)
      iex> query = :qlc.string_to_handle(~c"[Name || {2, Name} <- Table].", [], [{:Table, handle}])
      iex> :qlc.eval(query)
      ["Grace"]
  """
  @spec table(table) :: :qlc.query_handle()
  @spec table(table, term) :: :qlc.query_handle()
  def table(table, options \\ []) do
    case QLC.table(table, options) do
      {:ok, handle} -> handle
      :error -> :erlang.error(:badarg)
    end
  catch
    :error, :badarg -> badarg([table, options])
  end

  @doc """
  Streams all objects of the table.

  They are copied to the calling process in portions, so that the memory that a stream takes does not
  depend on the size of the table: a process that went over 10 million objects never took 60 KB. What
  is there throughout is seen exactly once; what is inserted or deleted meanwhile may be seen or not.
  `:ets` has nothing like it.

      iex> table = Blanket.Table.new(:numbers, [:ordered_set])
      iex> Blanket.Table.insert(table, for(i <- 1..1000, do: {i}))
      iex> table |> Blanket.Table.stream() |> Enum.take(2)
      [{1}, {2}]
  """
  @spec stream(table) :: Enumerable.t()
  def stream(table) do
    Stream.resource(fn -> :start end, &portion(table, &1), fn _from -> :ok end)
  end

  defp portion(_table, :"$end_of_table"), do: {:halt, :"$end_of_table"}

  defp portion(table, from) do
    Native.scan(table, from)
  catch
    :error, :badarg -> :erlang.error(:badarg, [table], error_info: Error.info(:stream, [table]))
  end

  @doc """
  Streams the results of a match specification.

  They are found in portions, as `select/3` does; see `stream/1` for what a stream sees.

      iex> table = Blanket.Table.new(:numbers, [:ordered_set])
      iex> Blanket.Table.insert(table, for(i <- 1..1000, do: {i, i * i}))
      iex> squares = Blanket.Table.stream(table, [{{:"$1", :"$2"}, [{:>, :"$1", 10}], [:"$2"]}])
      iex> Enum.take(squares, 2)
      [121, 144]
  """
  @spec stream(table, match_spec) :: Enumerable.t()
  def stream(table, match_spec) do
    Stream.resource(fn -> :start end, &portion(table, match_spec, &1), fn _from -> :ok end)
  end

  @portion 128

  defp portion(_table, _match_spec, :"$end_of_table"), do: {:halt, :"$end_of_table"}

  defp portion(table, match_spec, from) do
    found =
      if from == :start,
        do: MatchSpec.select(table, match_spec, @portion),
        else: MatchSpec.select(from)

    with :"$end_of_table" <- found, do: {:halt, found}
  catch
    :error, :badarg ->
      args = [table, match_spec]
      :erlang.error(:badarg, args, error_info: Error.info(:stream, args))
  end

  ## Files

  @doc """
  Writes the table to a file, from which `file2tab/1`, or that of `:ets`, makes it again.

  A file of that name is replaced. The file has what is there when the call begins, of one instant. See `tab2file/3` for the errors.

      iex> path = Path.join(System.tmp_dir!(), "blanket_people.tab")
      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.tab2file(table, path)
      :ok
      iex> {:ok, copy} = Blanket.Table.file2tab(path)
      iex> File.rm!(path)
      iex> Blanket.Table.tab2list(copy)
      [{1, "Ada"}]
  """
  @spec tab2file(table, Path.t() | charlist | atom) :: :ok | {:error, term}
  def tab2file(table, path) do
    TableFile.write(table, path, [])
  catch
    :error, :badarg -> badarg([table, path])
  end

  @doc """
  Does as `tab2file/2`, with options:

    * `{:extended_info, items}`: what `file2tab/2` can verify besides: `:object_count`, `:md5sum`, or
      both;
    * `{:sync, true}`: the file is on the disk when the call returns.

  Fails with `{:error, :badtab}` when there is no such table, `{:error, :eaccess}` when there is a
  directory of that name, `{:error, {:unknown_option, option}}`, `{:error, {:malformed_option, option}}`,
  and what `:disk_log` and `:file` say. Nothing is left of the file then.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.tab2file(table, "people.tab", [:fast])
      {:error, {:unknown_option, :fast}}
  """
  @spec tab2file(table, Path.t() | charlist | atom, [
          {:extended_info, [:object_count | :md5sum]} | {:sync, boolean}
        ]) :: :ok | {:error, term}
  def tab2file(table, path, options) do
    TableFile.write(table, path, options)
  catch
    :error, :badarg -> badarg([table, path, options])
  end

  @doc """
  Does as `file2tab/2`, without a check.

      iex> {:error, {:read_error, {:file_error, _, reason}}} = Blanket.Table.file2tab("no_such.tab")
      iex> reason
      :enoent
  """
  @spec file2tab(Path.t() | charlist | atom) :: {:ok, table} | {:error, term}
  def file2tab(path), do: TableFile.read(path, [])

  @doc """
  Makes a table, owned by the calling process, of a file that `tab2file/2` or that of `:ets` wrote.

  It has the name, type, key position, protection and concurrency options of the table that was
  written, but not its heir. With `{:verify, true}` damage, and a number of objects or a checksum other
  than the file says, is an error; else what is damaged is left out.

  Fails with `{:error, {:read_error, why}}`, `{:error, :badfile}`, `{:error, :cannot_create_table}` (the
  name of a named table is taken, for example), `{:error, :invalid_object_count}`,
  `{:error, :checksum_error}`, `{:error, {:unsupported_file_version, version}}`,
  `{:error, {:unknown_option, option}}` and `{:error, {:malformed_option, option}}`. No table is left
  then.

      iex> path = Path.join(System.tmp_dir!(), "blanket_verified.tab")
      iex> table = Blanket.Table.new(:people, [:bag])
      iex> Blanket.Table.tab2file(table, path, extended_info: [:md5sum, :object_count])
      :ok
      iex> {:ok, copy} = Blanket.Table.file2tab(path, verify: true)
      iex> File.rm!(path)
      iex> Blanket.Table.info(copy, :type)
      :bag
  """
  @spec file2tab(Path.t() | charlist | atom, [{:verify, boolean}]) ::
          {:ok, table} | {:error, term}
  def file2tab(path, options), do: TableFile.read(path, options)

  @doc """
  Tells what is known of the table in a file.

  Fails as `file2tab/2` does.

      iex> path = Path.join(System.tmp_dir!(), "blanket_known.tab")
      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.tab2file(table, path)
      iex> {:ok, info} = Blanket.Table.tabfile_info(path)
      iex> File.rm!(path)
      iex> {info[:name], info[:type], info[:size], info[:version]}
      {:people, :ordered_set, 0, {1, 0}}
  """
  @spec tabfile_info(Path.t() | charlist | atom) :: {:ok, keyword} | {:error, term}
  def tabfile_info(path), do: TableFile.info(path)

  @doc """
  Inserts all objects of an open `:dets` table.

      iex> path = Path.join(System.tmp_dir!(), "blanket_from.dets")
      iex> {:ok, dets} = :dets.open_file(:blanket_from, file: String.to_charlist(path))
      iex> :dets.insert(dets, {1, "Ada"})
      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.from_dets(table, dets)
      true
      iex> :dets.close(dets)
      iex> File.rm!(path)
      iex> Blanket.Table.tab2list(table)
      [{1, "Ada"}]
  """
  @spec from_dets(table, :dets.tab_name()) :: true
  def from_dets(table, dets) do
    insert(table, [])

    case :dets.foldl(fn object, true -> insert(table, object) end, true, dets) do
      true -> true
      {:error, reason} -> :erlang.error(reason, [table, dets])
    end
  catch
    :error, :badarg -> badarg([table, dets])
  end

  @doc """
  Replaces the objects of an open `:dets` table by those of this one, and answers the `:dets` table.

  What is there when the call begins, at one instant, is inserted.

      iex> path = Path.join(System.tmp_dir!(), "blanket_to.dets")
      iex> {:ok, dets} = :dets.open_file(:blanket_to, file: String.to_charlist(path))
      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.Table.to_dets(table, dets)
      :blanket_to
      iex> objects = :dets.lookup(dets, 1)
      iex> :dets.close(dets)
      iex> File.rm!(path)
      iex> objects
      [{1, "Ada"}]
  """
  @spec to_dets(table, dets) :: dets when dets: :dets.tab_name()
  def to_dets(table, dets) do
    answer =
      Snapshot.of(table, fn snapshot ->
        first = Native.scan(snapshot, :start)
        with :ok <- :dets.delete_all_objects(dets), do: insert_in_dets(first, snapshot, dets)
      end)

    case answer do
      :ok -> dets
      {:error, reason} -> :erlang.error(reason, [table, dets])
    end
  catch
    :error, :badarg -> badarg([table, dets])
  end

  defp insert_in_dets({objects, next}, snapshot, dets) do
    with :ok <- :dets.insert(dets, objects) do
      case next do
        :"$end_of_table" -> :ok
        cursor -> snapshot |> Native.scan(cursor) |> insert_in_dets(snapshot, dets)
      end
    end
  end

  ## Show

  @doc """
  Prints a line for each table: its name or reference, name, type, size, memory in words and owner.

  Tables of `:ets` are not among them.
  """
  @spec i() :: :ok
  def i, do: Show.tables()

  @doc """
  Prints the objects of the table, by pages of 40 lines of 80 characters.

  After a page it asks how to go on: `c` shows the next, `q` ends, `k` deletes the table, `p7` prints
  object 7 in full, `/regexp` shows only objects whose text matches.
  """
  @spec i(table) :: :ok
  def i(table), do: Show.objects(table, 40, 80)

  @doc """
  Does as `i/1`, by pages of `height` lines.
  """
  @spec i(table, pos_integer) :: :ok
  def i(table, height), do: Show.objects(table, height, 80)

  @doc """
  Does as `i/1`, by pages of `height` lines of `width` characters.
  """
  @spec i(table, pos_integer, pos_integer) :: :ok
  def i(table, height, width), do: Show.objects(table, height, width)
end
