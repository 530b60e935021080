defmodule Blanket.Transaction.State do
  @moduledoc false

  # What a transaction has read and is going to write, in the dictionary of its process. So nothing is
  # left behind when that is killed, and nobody else can use it.
  #
  # The read set is what was found under keys, the write set what becomes of keys, each by the number of the
  # table in the transaction and the key. Keys that a table takes for the same are there once.

  import Record

  alias Blanket.Native
  alias Blanket.Transaction

  @key :"$blanket_transaction"

  # Objects of one key of a bag that are remembered one by one; with more, the part of the table is watched.
  @few 32

  @doc """
  What a transaction is at: `tables` are those in use by what they are called and by their references, `watches`
  those that were gone over. A doomed one has seen that it is lost.
  """
  defrecord :state,
    id: nil,
    tables: [],
    references: [],
    read_set: %{},
    write_set: %{},
    watches: %{},
    doomed?: false

  @doc "A table, as a transaction uses it."
  defrecord :used, [:number, :reference, :type, :keypos, :rights]

  @typep place :: {non_neg_integer, term}

  @type used ::
          record(:used,
            number: integer,
            reference: reference,
            type: atom,
            keypos: pos_integer,
            rights: :read | :write | :snapshot
          )

  @typedoc "What was found under a key: its objects, or that there is one at least."
  @type found :: [tuple] | true

  @typedoc "What becomes of a key: for a bag operations, the last one first."
  @type written :: tuple | :delete | [{:insert | :delete_object, tuple} | :delete]

  @type t ::
          record(:state,
            id: integer,
            tables: [{term, used}],
            references: [reference],
            read_set: %{place => found},
            write_set: %{place => written},
            watches: %{non_neg_integer => reference},
            doomed?: boolean
          )

  @doc "Begins a transaction in this process."
  @spec begin(integer) :: :ok
  def begin(id) do
    put(state(id: id))
    :ok
  end

  @doc "Ends it."
  @spec finish() :: t
  def finish, do: here!(:erlang.erase(@key))

  @doc "The transaction of this process, if it is in one."
  @spec current() :: t | nil
  def current do
    case :erlang.get(@key) do
      state() = state -> state
      _ -> nil
    end
  end

  @doc "The state of a transaction of this process. One that is doomed goes no further."
  @spec of(Transaction.t()) :: t
  # The struct is defined by a module that uses the records of this one.
  def of(%{__struct__: Transaction, id: id}) do
    case :erlang.get(@key) do
      state(id: ^id, doomed?: false) = state -> state
      state(id: ^id) -> conflict(id)
      _ -> :erlang.error(:badarg)
    end
  end

  def of(_other), do: :erlang.error(:badarg)

  # The function of the transaction has the dictionary, too.
  defp here!(state() = state), do: state

  defp here!(_other) do
    raise "the transaction is not in the dictionary of its process any more, from which its function has " <>
            "erased it: a function that Blanket.transaction/2 runs must leave #{inspect(@key)} there"
  end

  @spec conflict(integer) :: no_return
  defp conflict(id), do: throw({:"$blanket_conflict", id})

  @doc "Takes back what was written since; what was read stays."
  @spec undo_to(t) :: :ok
  def undo_to(state(write_set: before)) do
    put(state(here!(:erlang.get(@key)), write_set: before))
    :ok
  end

  ## Tables

  @doc "The table that a name or a reference stands for from here on."
  @spec use_table(t, Blanket.Table.table()) :: {t, used}
  def use_table(state(tables: [{table, used} | _]) = state, table), do: {state, used}

  def use_table(state(tables: tables) = state, table) do
    case List.keyfind(tables, table, 0) do
      {_table, used} -> {state, used}
      nil -> begin_use(state, table)
    end
  end

  @doc "The same for one that is written."
  @spec use_to_write(t, Blanket.Table.table()) :: {t, used}
  def use_to_write(state, table) do
    {_state, used(rights: rights)} = using = use_table(state, table)
    if rights == :write, do: using, else: :erlang.error(:badarg)
  end

  defp begin_use(state(tables: tables, references: references) = state, table) do
    {reference, type, keypos, rights} = Native.use_table(table)
    new = used(reference: reference, type: type, keypos: keypos, rights: rights)

    {used, references} =
      case List.keyfind(tables, reference, 0) do
        {_reference, used} -> {used, references}
        nil when rights == :snapshot -> {used(new, number: -1), references}
        nil -> {used(new, number: length(references)), [reference | references]}
      end

    tables = [{reference, used} | tables]
    tables = if is_atom(table), do: [{table, used} | tables], else: tables
    {put(state(state, tables: tables, references: references)), used}
  end

  @doc "The table in one that is read in its place, so that the commit knows which parts of it were read."
  @spec watch(t, used) :: {t, reference}
  def watch(state, used(reference: reference, rights: :snapshot)), do: {state, reference}

  def watch(state(watches: watches) = state, used(number: number, reference: reference)) do
    case watches do
      %{^number => watch} ->
        {state, watch}

      _ ->
        watch = Native.watch(reference)
        {put(state(state, watches: Map.put(watches, number, watch))), watch}
    end
  end

  @spec end_watches(t) :: :ok
  def end_watches(state(watches: watches)),
    do: Enum.each(watches, fn {_number, watch} -> Native.end_watch(watch) end)

  ## Keys

  @doc "The objects of a key, as the transaction sees them."
  @spec read(t, used, term) :: [tuple]
  def read(state(write_set: write_set) = state, used, key) do
    place = place(write_set, used, key)

    case write_set do
      %{^place => object} when is_tuple(object) -> [object]
      %{^place => :delete} -> []
      %{^place => operations} -> operate(operations, state, used, key)
      _ -> found(state, used, key)
    end
  end

  @doc "Whether a key has objects, as the transaction sees it."
  @spec member?(t, used, term) :: boolean
  def member?(state(read_set: read_set, write_set: write_set) = state, used, key) do
    place = place(read_set, used, key)

    cond do
      is_map_key(write_set, place(write_set, used, key)) -> read(state, used, key) != []
      is_map_key(read_set, place) -> :erlang.map_get(place, read_set) != []
      true -> find_member(state, used, place, key)
    end
  end

  defp find_member(_state, used(reference: reference, rights: :snapshot), _place, key),
    do: Native.member(reference, key)

  defp find_member(state, used(reference: reference), place, key) do
    found? = Native.member(reference, key)
    remember(state, place, found? || [])
    found?
  end

  # What the table has.
  defp found(_state, used(reference: reference, rights: :snapshot), key),
    do: Native.lookup(reference, key)

  defp found(state(id: id, read_set: read_set) = state, used, key) do
    place = place(read_set, used, key)

    case read_set do
      %{^place => objects} when is_list(objects) ->
        objects

      %{^place => true} ->
        # Who has seen that there is one is not to see none now, also where it catches this.
        with [] <- find(state, used, place, key) do
          put(state(state, doomed?: true))
          conflict(id)
        end

      _ ->
        find(state, used, place, key)
    end
  end

  defp find(state, used(reference: reference, type: type), place, key)
       when type in [:set, :ordered_set],
       do: remember(state, place, Native.lookup(reference, key))

  defp find(state, used(reference: reference) = used, place, key) do
    objects = Native.lookup(reference, key)

    if length(objects) <= @few do
      remember(state, place, objects)
    else
      {_state, watch} = watch(state, used)
      Native.lookup(watch, key)
    end
  end

  defp remember(state(read_set: read_set) = state, place, found) do
    put(state(state, read_set: Map.put(read_set, place, found)))
    found
  end

  # Of a bag.
  defp operate([], state, used, key), do: found(state, used, key)
  defp operate([:delete | _before], _state, _used, _key), do: []

  defp operate([{:insert, object} | before], state, used(type: type) = used, key) do
    objects = operate(before, state, used, key)

    if type == :bag and Enum.any?(objects, &(&1 === object)),
      do: objects,
      else: objects ++ [object]
  end

  defp operate([{:delete_object, object} | before], state, used, key) do
    objects = operate(before, state, used, key)
    Enum.reject(objects, &(&1 === object))
  end

  @doc "Has an object be inserted."
  @spec insert(t, used, tuple) :: t
  def insert(state, used(type: type, keypos: keypos) = used, object)
      when type in [:set, :ordered_set],
      do: write(state, used, elem(object, keypos - 1), object)

  def insert(state, used(keypos: keypos) = used, object),
    do: operate_later(state, used, elem(object, keypos - 1), {:insert, object})

  @doc "Has the objects of a key be deleted."
  @spec delete(t, used, term) :: t
  def delete(state, used(type: type) = used, key) when type in [:set, :ordered_set],
    do: write(state, used, key, :delete)

  def delete(state, used, key), do: write(state, used, key, [:delete])

  @doc "Has an object be deleted."
  @spec delete_object(t, used, tuple) :: t
  def delete_object(state, used(type: type, keypos: keypos) = used, object)
      when type in [:set, :ordered_set] do
    key = elem(object, keypos - 1)

    case read(state, used, key) do
      [there] when there === object -> delete(here!(:erlang.get(@key)), used, key)
      _ -> here!(:erlang.get(@key))
    end
  end

  def delete_object(state, used(keypos: keypos) = used, object),
    do: operate_later(state, used, elem(object, keypos - 1), {:delete_object, object})

  defp operate_later(state(write_set: write_set) = state, used, key, operation) do
    before = Map.get(write_set, place(write_set, used, key), [])
    write(state, used, key, [operation | before])
  end

  defp write(state(write_set: write_set) = state, used, key, written) do
    place = place(write_set, used, key)
    put(state(state, write_set: Map.put(write_set, place, written)))
  end

  @doc "The write set of a table: what becomes of its keys."
  @spec own(t, used) :: %{place => written}
  def own(state(write_set: write_set), _used) when write_set == %{}, do: %{}

  def own(state(write_set: write_set), used(number: number)),
    do: for({{^number, _key} = place, written} <- write_set, into: %{}, do: {place, written})

  @doc "Where a key is in a read set or a write set, if it is there."
  @spec place(%{place => term}, used, term) :: place
  def place(set, used(number: number, type: :ordered_set), key) do
    place = {number, canonical(key)}

    if is_map_key(set, place) or not fun?(key),
      do: place,
      else:
        Enum.find(Map.keys(set), place, fn {other, there} -> other == number and there == key end)
  end

  def place(_set, used(number: number), key), do: {number, key}

  # Of keys that are equal mostly the same one: with integers for equal floats.
  defp canonical(key) when is_integer(key) or is_binary(key) or is_atom(key), do: key

  defp canonical(key) when is_float(key) do
    whole = trunc(key)
    if whole == key, do: whole, else: key
  end

  defp canonical([head | tail]), do: [canonical(head) | canonical(tail)]

  defp canonical(key) when is_tuple(key),
    do: key |> Tuple.to_list() |> Enum.map(&canonical/1) |> List.to_tuple()

  # Of maps the keys have to be identical, the values not.
  defp canonical(key) when is_map(key), do: :maps.map(fn _key, value -> canonical(value) end, key)
  defp canonical(key), do: key

  # Whether there is a fun in the key: it is equal to another one that has 1.0 where it has 1.
  defp fun?([head | tail]), do: fun?(head) or fun?(tail)
  defp fun?(key) when is_tuple(key), do: key |> Tuple.to_list() |> Enum.any?(&fun?/1)
  defp fun?(key) when is_map(key), do: key |> Map.values() |> Enum.any?(&fun?/1)
  defp fun?(key), do: is_function(key)

  defp put(state) do
    :erlang.put(@key, state)
    state
  end
end
