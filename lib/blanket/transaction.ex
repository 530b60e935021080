defmodule Blanket.Transaction do
  @moduledoc """
  What a function that `Blanket.transaction/2` runs may do: read and write tables, as one change.

      iex> accounts = Blanket.Table.new(:accounts, [])
      iex> Blanket.Table.insert(accounts, [{"Ada", 100}, {"Grace", 0}])
      iex> Blanket.transaction(fn tx ->
      ...>   [{"Ada", balance}] = Blanket.Transaction.lookup(tx, accounts, "Ada")
      ...>   if balance < 70, do: Blanket.Transaction.abort(tx, :too_little)
      ...>   Blanket.Transaction.update_counter(tx, accounts, "Ada", -70)
      ...>   Blanket.Transaction.update_counter(tx, accounts, "Grace", 70)
      ...> end)
      {:ok, 70}
      iex> Enum.sort(Blanket.Table.tab2list(accounts))
      [{"Ada", 30}, {"Grace", 70}]

  The functions have the names, the arguments and the results of those of `Blanket.Table`, behind the
  transaction. They see what the transaction itself has written. Others see nothing of it before it is
  done, and then all of it. They take any tables that the process may use, several of them in one
  transaction, and snapshots to read.

  A name stands for the table that has it when the transaction first uses it.

  The guide [Snapshots and transactions](snapshots-and-transactions.html) tells what is guaranteed, and
  what it costs.

  ## Errors

  They fail as those of `Blanket.Table` do, and besides when the transaction is over, or is another
  process's. Such an error, as any exception, ends the transaction, unless the function catches it.
  """

  import Blanket.Transaction.State, only: [state: 1, used: 1]

  alias Blanket.Table
  alias Blanket.Table.Error
  alias Blanket.Transaction.{Elements, State, Whole}

  defstruct [:id]

  @typedoc "A transaction. It is good in the process that runs it, until its function returns."
  @type t :: %__MODULE__{id: integer}

  # Raised here, so that the stack trace names the function that was called, and its arguments.
  defmacrop badarg(args) do
    {function, _arity} = __CALLER__.function

    quote do
      args = unquote(args)
      info = Error.in_transaction(unquote(function), args)
      :erlang.error(:badarg, args, error_info: info)
    end
  end

  @doc """
  Ends the transaction: nothing of it happens, and it answers `{:error, reason}`.

      iex> table = Blanket.Table.new(:visits, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, {:ada, 1})
      ...>   Blanket.Transaction.abort(tx, :closed)
      ...> end)
      {:error, :closed}
      iex> Blanket.Table.member(table, :ada)
      false
  """
  @spec abort(t, term) :: no_return
  def abort(tx, reason) do
    state(id: id) = State.of(tx)
    throw({:"$blanket_abort", id, reason})
  catch
    :error, :badarg -> badarg([tx, reason])
  end

  ## Read

  @doc """
  See `Blanket.Table.lookup/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.lookup(tx, table, 1) end)
      {:ok, [{1, "Ada"}]}
  """
  @spec lookup(t, Table.table(), term) :: [Table.object()]
  def lookup(tx, table, key) do
    {state, used} = State.use_table(State.of(tx), table)
    State.read(state, used, key)
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.lookup_element/3`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.lookup_element(tx, table, 1, 2) end)
      {:ok, "Ada"}
  """
  @spec lookup_element(t, Table.table(), term, pos_integer) :: term | [term]
  def lookup_element(tx, table, key, pos) do
    case elements(tx, table, key, pos) do
      :none -> :erlang.error(:badarg)
      {:found, found} -> found
    end
  catch
    :error, :badarg -> badarg([tx, table, key, pos])
  end

  @doc """
  See `Blanket.Table.lookup_element/4`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.lookup_element(tx, table, 1, 2, "nobody")
      ...> end)
      {:ok, "nobody"}
  """
  @spec lookup_element(t, Table.table(), term, pos_integer, default) :: term | [term] | default
        when default: term
  def lookup_element(tx, table, key, pos, default) do
    case elements(tx, table, key, pos) do
      :none -> default
      {:found, found} -> found
    end
  catch
    :error, :badarg -> badarg([tx, table, key, pos, default])
  end

  defp elements(tx, table, key, pos) do
    {state, used(type: type) = used} = State.use_table(State.of(tx), table)
    if not is_integer(pos) or pos < 1, do: badarg!()

    case State.read(state, used, key) do
      [] -> :none
      [object] when type in [:set, :ordered_set] -> {:found, :erlang.element(pos, object)}
      objects -> {:found, for(object <- objects, do: :erlang.element(pos, object))}
    end
  end

  @doc """
  See `Blanket.Table.member/2`.

  That another process changes the objects of the key does not matter to the transaction, as long as there
  still is one, or none.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.member(tx, table, 1) end)
      {:ok, false}
  """
  @spec member(t, Table.table(), term) :: boolean
  def member(tx, table, key) do
    {state, used} = State.use_table(State.of(tx), table)
    State.member?(state, used, key)
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.fetch/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.fetch(tx, table, 1) end)
      {:ok, {:ok, {1, "Ada"}}}
  """
  @spec fetch(t, Table.table(), term) :: {:ok, Table.object()} | :error
  def fetch(tx, table, key) do
    case only(tx, table, key) do
      [object] -> {:ok, object}
      [] -> :error
    end
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.fetch!/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.fetch!(tx, table, 1) end)
      {:ok, {1, "Ada"}}
  """
  @spec fetch!(t, Table.table(), term) :: Table.object()
  def fetch!(tx, table, key) do
    case only(tx, table, key) do
      [object] -> object
      [] -> raise KeyError, key: key, term: table
    end
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.get/3`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.get(tx, table, 1, {1, "nobody"}) end)
      {:ok, {1, "nobody"}}
  """
  @spec get(t, Table.table(), term) :: Table.object() | nil
  @spec get(t, Table.table(), term, default) :: Table.object() | default when default: term
  def get(tx, table, key, default \\ nil) do
    case only(tx, table, key) do
      [object] -> object
      [] -> default
    end
  catch
    :error, :badarg -> badarg([tx, table, key, default])
  end

  defp only(tx, table, key) do
    {state, used} = State.use_table(State.of(tx), table)
    unique!(used)
    State.read(state, used, key)
  end

  defp unique!(used(type: type)) when type in [:set, :ordered_set], do: :ok
  defp unique!(_used), do: :erlang.error(:badarg)

  ## Write

  @doc """
  See `Blanket.Table.insert/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, [{1, "Ada"}, {2, "Grace"}])
      ...>   Blanket.Transaction.lookup(tx, table, 2)
      ...> end)
      {:ok, [{2, "Grace"}]}
  """
  @spec insert(t, Table.table(), Table.object() | [Table.object()]) :: true
  def insert(tx, table, object_or_objects) do
    {state, used} = State.use_to_write(State.of(tx), table)
    insert_all(state, used, objects!(used, object_or_objects))
  catch
    :error, :badarg -> badarg([tx, table, object_or_objects])
  end

  @doc """
  See `Blanket.Table.insert_new/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   for name <- ["Ada", "Grace"], do: Blanket.Transaction.insert_new(tx, table, {1, name})
      ...> end)
      {:ok, [true, false]}
  """
  @spec insert_new(t, Table.table(), Table.object() | [Table.object()]) :: boolean
  def insert_new(tx, table, object_or_objects) do
    {_state, used(keypos: keypos) = used} = State.use_to_write(State.of(tx), table)
    objects = List.wrap(objects!(used, object_or_objects))
    there? = &State.member?(State.of(tx), used, elem(&1, keypos - 1))
    not Enum.any?(objects, there?) and insert_all(State.of(tx), used, objects)
  catch
    :error, :badarg -> badarg([tx, table, object_or_objects])
  end

  defp insert_all(state, used, object) when is_tuple(object) do
    State.insert(state, used, object)
    true
  end

  defp insert_all(state, used, objects) do
    Enum.reduce(objects, state, &State.insert(&2, used, &1))
    true
  end

  # All of them, before the first is inserted.
  defp objects!(used(keypos: keypos), object)
       when is_tuple(object) and tuple_size(object) >= keypos,
       do: object

  defp objects!(used(keypos: keypos), objects) when is_list(objects) do
    object? = &(is_tuple(&1) and tuple_size(&1) >= keypos)
    if not List.improper?(objects) and Enum.all?(objects, object?), do: objects, else: badarg!()
  end

  defp objects!(_used, _other), do: badarg!()

  defp object!(used, object) when is_tuple(object), do: objects!(used, object)
  defp object!(_used, _other), do: badarg!()

  defp badarg!, do: :erlang.error(:badarg)

  @doc """
  See `Blanket.Table.delete/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.delete(tx, table, 1)
      ...>   Blanket.Transaction.member(tx, table, 1)
      ...> end)
      {:ok, false}
  """
  @spec delete(t, Table.table(), term) :: true
  def delete(tx, table, key) do
    {state, used} = State.use_to_write(State.of(tx), table)
    State.delete(state, used, key)
    true
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.delete_object/2`.

      iex> table = Blanket.Table.new(:drawer, [:bag])
      iex> Blanket.Table.insert(table, [{:a, 1}, {:a, 2}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.delete_object(tx, table, {:a, 1})
      ...>   Blanket.Transaction.lookup(tx, table, :a)
      ...> end)
      {:ok, [{:a, 2}]}
  """
  @spec delete_object(t, Table.table(), Table.object()) :: true
  def delete_object(tx, table, object) do
    {state, used} = State.use_to_write(State.of(tx), table)
    State.delete_object(state, used, object!(used, object))
    true
  catch
    :error, :badarg -> badarg([tx, table, object])
  end

  @doc """
  See `Blanket.Table.take/2`.

      iex> table = Blanket.Table.new(:queue, [])
      iex> Blanket.Table.insert(table, {1, :job})
      iex> Blanket.transaction(fn tx ->
      ...>   [Blanket.Transaction.take(tx, table, 1), Blanket.Transaction.take(tx, table, 1)]
      ...> end)
      {:ok, [[{1, :job}], []]}
  """
  @spec take(t, Table.table(), term) :: [Table.object()]
  def take(tx, table, key) do
    {state, used} = State.use_to_write(State.of(tx), table)
    objects = State.read(state, used, key)
    if objects != [], do: State.delete(State.of(tx), used, key)
    objects
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.update_counter/3`.

      iex> table = Blanket.Table.new(:counts, [])
      iex> Blanket.Table.insert(table, {:hits, 1})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.update_counter(tx, table, :hits, 2) end)
      {:ok, 3}
  """
  @spec update_counter(
          t,
          Table.table(),
          term,
          integer | Table.counter_operation() | [Table.counter_operation()]
        ) :: integer | [integer]
  def update_counter(tx, table, key, operations) do
    {:changed, results} = change(tx, table, key, [], &Elements.count(&1, &2, operations))
    results
  catch
    :error, reason when reason in [:badarg, {:badmatch, :none}] ->
      badarg([tx, table, key, operations])
  end

  @doc """
  See `Blanket.Table.update_counter/4`.

      iex> table = Blanket.Table.new(:counts, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.update_counter(tx, table, :hits, 2, {:hits, 0})
      ...> end)
      {:ok, 2}
  """
  @spec update_counter(
          t,
          Table.table(),
          term,
          integer | Table.counter_operation() | [Table.counter_operation()],
          Table.object()
        ) :: integer | [integer]
  def update_counter(tx, table, key, operations, default) do
    {:changed, results} = change(tx, table, key, [default], &Elements.count(&1, &2, operations))
    results
  catch
    :error, :badarg -> badarg([tx, table, key, operations, default])
  end

  @doc """
  See `Blanket.Table.update_element/3`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada", 36})
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.update_element(tx, table, 1, {3, 37})
      ...>   Blanket.Transaction.lookup(tx, table, 1)
      ...> end)
      {:ok, [{1, "Ada", 37}]}
  """
  @spec update_element(
          t,
          Table.table(),
          term,
          {pos_integer, term} | [{pos_integer, term}]
        ) :: boolean
  def update_element(tx, table, key, elements) do
    change(tx, table, key, [], &Elements.set(&1, &2, elements)) != :none
  catch
    :error, :badarg -> badarg([tx, table, key, elements])
  end

  @doc """
  See `Blanket.Table.update_element/4`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.update_element(tx, table, 1, {3, 37}, {nil, "Ada", 0})
      ...>   Blanket.Transaction.lookup(tx, table, 1)
      ...> end)
      {:ok, [{1, "Ada", 37}]}
  """
  @spec update_element(
          t,
          Table.table(),
          term,
          {pos_integer, term} | [{pos_integer, term}],
          Table.object()
        ) :: boolean
  def update_element(tx, table, key, elements, default) do
    change(tx, table, key, [default], &Elements.set(&1, &2, elements)) != :none
  catch
    :error, :badarg -> badarg([tx, table, key, elements, default])
  end

  defp change(tx, table, key, default, change) do
    {state, used(keypos: keypos) = used} = State.use_to_write(State.of(tx), table)
    unique!(used)
    Enum.each(default, &(is_tuple(&1) or badarg!()))

    case {State.read(state, used, key), default} do
      {[object], _default} ->
        insert_changed(tx, used, change.(object, keypos))

      {[], [default]} ->
        object = put_elem(object!(used, default), keypos - 1, key)
        insert_changed(tx, used, change.(object, keypos))

      {[], []} ->
        :none
    end
  end

  defp insert_changed(tx, used, {object, results}) do
    State.insert(State.of(tx), used, object)
    {:changed, results}
  end

  ## Step

  @doc """
  See `Blanket.Table.first/1`.

  In a table that is no `:ordered_set`, keys that the transaction itself has inserted come last.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1}, {2}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.delete(tx, table, 1)
      ...>   Blanket.Transaction.first(tx, table)
      ...> end)
      {:ok, 2}
  """
  @spec first(t, Table.table()) :: term | :"$end_of_table"
  def first(tx, table) do
    Whole.first(tx, table)
  catch
    :error, :badarg -> badarg([tx, table])
  end

  @doc """
  See `Blanket.Table.last/1`, and `first/2`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, [{1}, {2}])
      ...>   Blanket.Transaction.last(tx, table)
      ...> end)
      {:ok, 2}
  """
  @spec last(t, Table.table()) :: term | :"$end_of_table"
  def last(tx, table) do
    Whole.last(tx, table)
  catch
    :error, :badarg -> badarg([tx, table])
  end

  @doc """
  See `Blanket.Table.next/2`, and `first/2`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1}, {3}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, {2})
      ...>   Blanket.Transaction.next(tx, table, 1)
      ...> end)
      {:ok, 2}
  """
  @spec next(t, Table.table(), term) :: term | :"$end_of_table"
  def next(tx, table, key) do
    Whole.next(tx, table, key)
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  @doc """
  See `Blanket.Table.prev/2`, and `first/2`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1}, {3}])
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.prev(tx, table, 3) end)
      {:ok, 1}
  """
  @spec prev(t, Table.table(), term) :: term | :"$end_of_table"
  def prev(tx, table, key) do
    Whole.prev(tx, table, key)
  catch
    :error, :badarg -> badarg([tx, table, key])
  end

  ## Match

  @doc """
  See `Blanket.Table.match/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.match(tx, table, {:_, :"$1"}) end)
      {:ok, [["Ada"]]}
  """
  @spec match(t, Table.table(), Table.match_pattern()) :: [[term]]
  def match(tx, table, pattern) do
    Whole.select(tx, table, [{pattern, [], [:"$$"]}])
  catch
    :error, :badarg -> badarg([tx, table, pattern])
  end

  @doc """
  See `Blanket.Table.match_object/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, {1, "Ada"})
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.match_object(tx, table, {:_, "Ada"}) end)
      {:ok, [{1, "Ada"}]}
  """
  @spec match_object(t, Table.table(), Table.match_pattern()) :: [Table.object()]
  def match_object(tx, table, pattern) do
    Whole.select(tx, table, [{pattern, [], [:"$_"]}])
  catch
    :error, :badarg -> badarg([tx, table, pattern])
  end

  @doc """
  See `Blanket.Table.match_delete/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> Blanket.transaction(fn tx -> Blanket.Transaction.match_delete(tx, table, {:_, "Ada"}) end)
      {:ok, true}
      iex> Blanket.Table.tab2list(table)
      [{2, "Grace"}]
  """
  @spec match_delete(t, Table.table(), Table.match_pattern()) :: true
  def match_delete(tx, table, pattern) do
    Whole.select_delete(tx, table, [{pattern, [], [true]}])
    true
  catch
    :error, :badarg -> badarg([tx, table, pattern])
  end

  @doc """
  See `Blanket.Table.select/2`.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, {1, "Ada", 36})
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, {2, "Grace", 85})
      ...>   Blanket.Transaction.select(tx, table, [{{:_, :"$1", :"$2"}, [{:>, :"$2", 30}], [:"$1"]}])
      ...> end)
      {:ok, ["Ada", "Grace"]}
  """
  @spec select(t, Table.table(), Table.match_spec()) :: [term]
  def select(tx, table, match_spec) do
    Whole.select(tx, table, match_spec)
  catch
    :error, :badarg -> badarg([tx, table, match_spec])
  end

  @doc """
  See `Blanket.Table.select_reverse/2`.

      iex> table = Blanket.Table.new(:people, [:ordered_set])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.select_reverse(tx, table, [{{:_, :"$1"}, [], [:"$1"]}])
      ...> end)
      {:ok, ["Grace", "Ada"]}
  """
  @spec select_reverse(t, Table.table(), Table.match_spec()) :: [term]
  def select_reverse(tx, table, match_spec) do
    Whole.select_reverse(tx, table, match_spec)
  catch
    :error, :badarg -> badarg([tx, table, match_spec])
  end

  @doc """
  See `Blanket.Table.select_count/2`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, {1, "Ada"})
      ...>   Blanket.Transaction.select_count(tx, table, [{:_, [], [true]}])
      ...> end)
      {:ok, 1}
  """
  @spec select_count(t, Table.table(), Table.match_spec()) :: non_neg_integer
  def select_count(tx, table, match_spec) do
    Whole.select_count(tx, table, match_spec)
  catch
    :error, :badarg -> badarg([tx, table, match_spec])
  end

  @doc """
  See `Blanket.Table.select_delete/2`. In a transaction, all go at once.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.Table.insert(table, [{1, "Ada"}, {2, "Grace"}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.select_delete(tx, table, [{{:"$1", :_}, [{:>, :"$1", 1}], [true]}])
      ...> end)
      {:ok, 1}
  """
  @spec select_delete(t, Table.table(), Table.match_spec()) :: non_neg_integer
  def select_delete(tx, table, match_spec) do
    Whole.select_delete(tx, table, match_spec)
  catch
    :error, :badarg -> badarg([tx, table, match_spec])
  end

  ## The whole table

  @doc """
  See `Blanket.Table.tab2list/1`.

      iex> table = Blanket.Table.new(:people, [])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.insert(tx, table, {1, "Ada"})
      ...>   Blanket.Transaction.tab2list(tx, table)
      ...> end)
      {:ok, [{1, "Ada"}]}
  """
  @spec tab2list(t, Table.table()) :: [Table.object()]
  def tab2list(tx, table) do
    Whole.list(tx, table)
  catch
    :error, :badarg -> badarg([tx, table])
  end

  @doc """
  See `Blanket.Table.foldl/3`. What `fun` itself writes is not seen.

      iex> table = Blanket.Table.new(:prices, [])
      iex> Blanket.Table.insert(table, [{:apple, 3}, {:pear, 4}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.foldl(tx, fn {_, price}, sum -> sum + price end, 0, table)
      ...> end)
      {:ok, 7}
  """
  @spec foldl(t, (Table.object(), acc -> acc), acc, Table.table()) :: acc when acc: term
  def foldl(tx, fun, acc, table), do: :lists.foldl(fun, acc, tab2list(tx, table))

  @doc """
  See `Blanket.Table.foldr/3`, and `foldl/4`.

      iex> table = Blanket.Table.new(:sorted, [:ordered_set])
      iex> Blanket.Table.insert(table, [{2}, {1}])
      iex> Blanket.transaction(fn tx ->
      ...>   Blanket.Transaction.foldr(tx, fn {key}, keys -> [key | keys] end, [], table)
      ...> end)
      {:ok, [1, 2]}
  """
  @spec foldr(t, (Table.object(), acc -> acc), acc, Table.table()) :: acc when acc: term
  def foldr(tx, fun, acc, table), do: :lists.foldr(fun, acc, tab2list(tx, table))
end
