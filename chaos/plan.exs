defmodule Chaos.Plan do
  # What does not change in a run: the owners, their tables, and the lanes. A lane is a part of a table's
  # keys that one writer writes, so that what has to be there can be known.

  defmodule Table do
    defstruct [
      :id,
      :owner,
      :name,
      :type,
      :protection,
      :named?,
      :keys,
      :lanes,
      :mortal?,
      :transient?,
      :options
    ]
  end

  defmodule Owner do
    defstruct [:id, :name, :found, :transient?, :tables]
  end

  @types [:set, :ordered_set, :bag, :duplicate_bag]
  # Keys of a lane, in most tables and in every tenth.
  @few 24
  @many 3000
  @lane 4096

  @doc "As many owners, each of one table, or now and then of two."
  def owners(count) do
    for id <- 1..count do
      found = Enum.at([:name, :via, :global, :claim, :name], rem(id, 5))
      name = name(found, id)
      pair? = found != :claim and rem(id, 8) == 1
      transient? = found != :claim and not pair? and rem(id, 7) == 0
      ids = if pair?, do: [2 * id, 2 * id + 1], else: [2 * id]

      # What ends an owner on purpose must not end another table than that of the lane which asked.
      tables = for table <- ids, do: table(table, name, not pair? and rem(id, 3) == 0, transient?)
      %Owner{id: id, name: name, found: found, transient?: transient?, tables: tables}
    end
  end

  defp name(:via, id), do: {:via, Registry, {Chaos.Names, id}}
  defp name(:global, id), do: {:global, {Chaos, id}}
  defp name(_registered, id), do: :"chaos_owner_#{id}"

  defp table(id, owner, mortal?, transient?) do
    mortal? = mortal? or transient?
    type = Enum.at(@types, rem(div(id, 2), 4))
    protection = Enum.at([:private, :protected, :public], rem(div(id, 8), 3))
    named? = rem(div(id, 4), 2) == 0
    lanes = if mortal?, do: 1, else: 1 + rem(id, 3)

    options =
      [type, protection] ++
        if(named?, do: [:named_table], else: []) ++
        if rem(id, 18) == 0, do: [:compressed], else: []

    %Table{
      id: id,
      owner: owner,
      name: :"chaos_table_#{id}",
      type: type,
      protection: protection,
      named?: named?,
      keys: if(rem(div(id, 2), 10) == 0, do: @many, else: @few),
      lanes: for(lane <- 1..lanes, do: {id, lane}),
      mortal?: mortal?,
      transient?: transient?,
      options: options
    }
  end

  @doc "What the table is kept as."
  def ref(%Owner{found: :claim}, table), do: {Chaos, table.id}
  def ref(owner, table), do: {Chaos.Owner, owner.name, table.name}

  @doc "The names that a table has in turn."
  def names(table), do: [table.name, :"#{table.name}_renamed"]

  @doc "Whether all that the type does happens under one key once."
  def set?(table), do: table.type in [:set, :ordered_set]

  # Integers for every other table: with an immediate for a payload such objects are flat, and lanes
  # are ranges of keys.

  @doc "The key in the table of a lane's key."
  def key(table, {_, lane}, key),
    do: if(integers?(table), do: lane * @lane + key, else: {lane, key})

  @doc "The lane's key of a key in the table."
  def lane_key(_table, {_lane, key}), do: key
  def lane_key(_table, key), do: rem(key, @lane)

  @doc "A match specification of all objects of a lane, that answers them or `true`."
  def spec(table, {_, lane}, answer) do
    answer = if answer == :object, do: :"$_", else: answer

    if integers?(table) do
      [{{:"$1", :_, :_}, [{:>=, :"$1", lane * @lane}, {:<, :"$1", (lane + 1) * @lane}], [answer]}]
    else
      [{{{lane, :_}, :_, :_}, [], [answer]}]
    end
  end

  @doc "Whether an object is one of the lane's."
  def in_lane?(_table, {_, lane}, {{of, _key}, _, _}), do: of == lane
  def in_lane?(_table, {_, lane}, {key, _, _}), do: div(key, @lane) == lane

  def integers?(table), do: rem(div(table.id, 2), 2) == 0

  @doc "The object of a key and a number. Those of a counter carry nothing."
  def object(table, lane, {:counter, number}), do: {key(table, lane, 0), number, nil}

  def object(table, lane, {key, number}),
    do: {key(table, lane, key), number, Chaos.Payload.of(number)}
end
