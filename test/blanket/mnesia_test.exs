defmodule Blanket.MnesiaTest do
  # On nodes of their own, three where it takes more than one. What Mnesia's own kinds of table do is asked for
  # beside, and has to be the same.
  use ExUnit.Case, async: false

  import Blanket.Test.Cluster, only: [await_one: 1]

  alias Blanket.Mnesia
  alias Blanket.Test.{Cluster, MnesiaPrograms}

  @moduletag :tmp_dir

  # Mnesia runs in this node for as long as the first of them.
  doctest Blanket.Mnesia

  @kinds [:ram_copies, :disc_copies, :blanket_copies, :blanket_disc_copies]

  test "has all the callbacks that Mnesia asks for, and the one that it calls unasked" do
    Code.ensure_loaded!(Mnesia)

    for {name, arity} <-
          :mnesia_backend_type.behaviour_info(:callbacks) ++ [sender_handle_info: 5],
        do: assert(function_exported?(Mnesia, name, arity), "#{name}/#{arity}")
  end

  test "says that Mnesia does not run" do
    assert {:error, {:node_not_running, _}} = Mnesia.register()
  end

  describe "one node" do
    setup %{tmp_dir: dir} do
      [member] = Cluster.start([:one], dir)
      on_exit(fn -> Cluster.stop([member]) end)
      %{member: member}
    end

    test "registers as often as it is asked to", %{member: one} do
      run(one, :start_in_memory, [[]])
      assert call(one, Mnesia, :register, []) == :ok
      assert call(one, Mnesia, :register, []) == :ok
      assert :blanket_copies in call(one, :mnesia, :system_info, [:backend_types])
    end

    test "is a part of a schema from the beginning", %{member: one} do
      run(one, :load, [])
      types = [backend_types: Mnesia.backend_types()]
      :ok = call(one, :mnesia, :create_schema, [[one.node], types])
      run(one, :start, [])
      run(one, :create, [:people, :blanket_copies, [one.node], []])
      assert call(one, Mnesia, :register, []) == :ok
    end

    test "has no tables that are not there any more", %{member: one} do
      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])
      before = call(one, Blanket.Table, :all, [])
      create(one, :people, :blanket_copies, [one.node], index: [:name])
      step(one, {:add_index, 4}, :blanket_copies)
      assert length(call(one, Blanket.Table, :all, []) -- before) == 3

      step(one, {:delete_index, 3}, :blanket_copies)
      assert length(call(one, Blanket.Table, :all, []) -- before) == 2

      {:atomic, :ok} = call(one, :mnesia, :delete_table, [:people_blanket_copies])
      assert call(one, Blanket.Table, :all, []) -- before == []

      create(one, :people, :blanket_copies, [one.node], index: [:name])
      call(one, :mnesia, :stop, [])
      assert call(one, Blanket.Table, :all, []) -- before == []
    end

    test "keeps its tables when the process that owns them dies, or Mnesia is killed", %{
      member: one
    } do
      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])
      before = call(one, Blanket.Table, :all, [])
      create(one, :people, :blanket_copies, [one.node])
      run(one, :fill, [:people_blanket_copies, 10])
      call(one, MnesiaPrograms, :kill, [Blanket.Mnesia.Owner])
      assert length(contents(one, :people, :blanket_copies)) == 10

      # The next process owns what is created from then on, and in the end takes all.
      create(one, :others, :blanket_copies, [one.node])
      call(one, :mnesia, :stop, [])
      assert call(one, Blanket.Table, :all, []) -- before == []

      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])
      create(one, :people, :blanket_copies, [one.node])
      call(one, :mnesia, :kill, [])
      await_one(fn -> [call(one, Blanket.Table, :all, []) -- before, []] end)
    end

    test "sends what the table has when the receiver asks for the first of it", %{member: one} do
      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])
      create(one, :people, :blanket_copies, [one.node])
      run(one, :fill, [:people_blanket_copies, 5000])
      sent = run(one, :sent_while_written, [:people_blanket_copies])
      assert Enum.sort(sent) == for(n <- 1..5001, do: {:person, n, "name #{rem(n, 10)}", n})
    end

    test "walks, counts and searches as ram_copies do", %{member: one} do
      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])

      for type <- [:set, :ordered_set, :bag] do
        kinds = [:ram_copies, :blanket_copies]
        for kind <- kinds, do: create(one, type, kind, [one.node], type: type)
        for kind <- kinds, do: run(one, :fill, [MnesiaPrograms.table(type, kind), 50])

        answers =
          for kind <- kinds, do: run(one, :dirty_answers, [MnesiaPrograms.table(type, kind)])

        assert [answer] = Enum.uniq(answers)
        assert answer.size == 50
      end
    end

    test "is a fragmented table", %{member: one} do
      run(one, :start_in_memory, [[]])
      call(one, Mnesia, :register, [])

      assert [same] =
               Enum.uniq(for kind <- [:ram_copies, :blanket_copies], do: fragmented(one, kind))

      assert length(same) == 200
    end

    defp fragmented(one, kind) do
      create(one, :pieces, kind, [one.node],
        frag_properties: [
          n_fragments: 4,
          node_pool: [one.node]
        ]
      )

      run(one, :fragment, [MnesiaPrograms.table(:pieces, kind), 200])
    end

    test "has a file for as long as there is the table", %{member: one} do
      run(one, :start_in_memory, [[]])

      assert {:aborted, {:system_limit, :nowhere, {_, {:has_no_disc, _}}}} =
               call(one, :mnesia, :create_table, [:nowhere, [blanket_disc_copies: [one.node]]])

      call(one, :mnesia, :stop, [])
      run(one, :load, [[schema_location: :opt_disc]])
      run(one, :create_schema, [[one.node]])
      run(one, :start, [])
      call(one, Mnesia, :register, [])
      create(one, :people, :blanket_disc_copies, [one.node])
      create(one, :others, :blanket_disc_copies, [one.node])
      run(one, :fill, [:people_blanket_disc_copies, 100])

      # A file of a table that Mnesia does not know any more.
      file = Path.join(one.dir, "people_blanket_disc_copies.BLANKET")
      File.cp!(file, Path.join(one.dir, "late_blanket_disc_copies.BLANKET"))
      create(one, :late, :blanket_disc_copies, [one.node])
      assert contents(one, :late, :blanket_disc_copies) == []

      call(one, :mnesia, :stop, [])
      # It is written, and closed a moment later.
      await_one(fn ->
        [Blanket.Table.verify(file), {:ok, %{type: :set, keypos: 2, keys: 100, objects: 100}}]
      end)

      run(one, :start, [])
      run(one, :await, [[:people_blanket_disc_copies]])
      assert length(contents(one, :people, :blanket_disc_copies)) == 100

      {:atomic, :ok} = call(one, :mnesia, :delete_table, [:people_blanket_disc_copies])
      refute File.exists?(file)
      assert File.exists?(Path.join(one.dir, "others_blanket_disc_copies.BLANKET"))
      call(one, :mnesia, :stop, [])
      :ok = call(one, :mnesia, :delete_schema, [[one.node]])
      refute File.exists?(Path.join(one.dir, "others_blanket_disc_copies.BLANKET"))
    end

    test "refuses copies in memory of what is on a disc", %{member: one} do
      run(one, :create_schema, [[one.node]])
      run(one, :start, [])
      call(one, Mnesia, :register, [])

      assert {:aborted, {{reason, [disc_copies: _]}, :mixed, _}} =
               call(one, :mnesia, :create_table, [
                 :mixed,
                 [disc_copies: [:elsewhere@nowhere], blanket_copies: [one.node]]
               ])

      assert reason =~ "copies on a disc"
    end
  end

  describe "three nodes" do
    setup %{tmp_dir: dir} do
      members = Cluster.start([:ann, :bob, :cid], dir)
      on_exit(fn -> Cluster.stop(members) end)
      %{members: members, nodes: Cluster.nodes(members)}
    end

    defp start_on_disc([first | _] = members) do
      run(first, :create_schema, [Cluster.nodes(members)])
      Cluster.each(members, MnesiaPrograms, :start, [])
      :ok = call(first, Mnesia, :register, [])
    end

    defp create_all(member, nodes, options) do
      for kind <- @kinds, do: create(member, :people, kind, nodes, options)
    end

    test "join with schemas in memory", %{members: [ann, bob, cid] = members, nodes: nodes} do
      for member <- members, do: run(member, :start_in_memory, [nodes])
      :ok = call(ann, Mnesia, :register, [])
      kinds = [:ram_copies, :blanket_copies]
      for kind <- kinds, do: create(ann, :people, kind, nodes, index: [:name])
      for kind <- kinds, do: run(bob, :fill, [MnesiaPrograms.table(:people, kind), 100])

      # Of the node that is gone nobody knows but its name.
      Cluster.kill(cid)
      for kind <- kinds, do: step(ann, {:in, :transaction, [{:delete, 1}]}, kind)
      cid = Cluster.revive(cid, [ann, bob])
      run(cid, :start_in_memory, [nodes])
      run(cid, :await, [for(kind <- kinds, do: MnesiaPrograms.table(:people, kind))])

      same = await_same([ann, bob, cid], kinds)
      assert length(same) == 99

      assert Cluster.call(cid, :mnesia, :table_info, [:people_blanket_copies, :where_to_read]) ==
               cid.node
    end

    test "a node that is killed comes back, while the others write", %{
      members: [ann, bob, cid] = members,
      nodes: nodes
    } do
      start_on_disc(members)
      create_all(ann, nodes, index: [:name])
      for kind <- @kinds, do: run(ann, :fill, [MnesiaPrograms.table(:people, kind), 500])

      tables = for kind <- @kinds, do: MnesiaPrograms.table(:people, kind)
      run(bob, :start_writing, [tables])
      Cluster.kill(cid)
      create(ann, :others, :blanket_copies, [ann.node, bob.node])
      cid = Cluster.revive(cid, [ann, bob])
      run(cid, :start, [])
      run(cid, :await, [[:others_blanket_copies | tables]])
      written = run(bob, :stop_writing, [])

      same = await_same([ann, bob, cid], @kinds)
      assert length(same) == 500 + written

      for table <- tables,
          do:
            assert(
              length(call(cid, :mnesia, :dirty_index_read, [table, "written", 3])) == written
            )
    end

    test "both sides of a partition are written, and healed by Mnesia's rules", %{
      members: [ann, bob, cid] = members,
      nodes: nodes
    } do
      start_on_disc(members)
      create_all(ann, nodes, index: [:name])
      for kind <- @kinds, do: write(ann, kind, {:person, 0, "before", 0})
      await_same(members, @kinds)
      for member <- members, do: run(member, :watch, [])

      Cluster.part([ann], [bob, cid])
      for kind <- @kinds, do: write(ann, kind, {:person, 1, "ann", 1})
      for kind <- @kinds, do: write(bob, kind, {:person, 1, "bob", 2})
      for kind <- @kinds, do: write(cid, kind, {:person, 2, "cid", 3})

      Cluster.connect(members)
      await_one(fn -> [partitioned?(ann), partitioned?(bob), true] end)

      for kind <- @kinds do
        assert contents(ann, :people, kind) == [{:person, 0, "before", 0}, {:person, 1, "ann", 1}]
      end

      # The side of bob is the one to go on with.
      :ok = call(ann, :mnesia, :set_master_nodes, [[bob.node, cid.node]])
      call(ann, :mnesia, :stop, [])
      run(ann, :start, [])
      run(ann, :await, [for(kind <- @kinds, do: MnesiaPrograms.table(:people, kind))])

      assert await_same(members, @kinds) == [
               {:person, 0, "before", 0},
               {:person, 1, "bob", 2},
               {:person, 2, "cid", 3}
             ]

      for kind <- @kinds do
        table = MnesiaPrograms.table(:people, kind)
        assert call(ann, :mnesia, :dirty_index_read, [table, "ann", 3]) == []
        assert [_] = call(ann, :mnesia, :dirty_index_read, [table, "bob", 3])
      end
    end

    test "copies change their kind, and objects their shape", %{
      members: [ann, bob, cid] = members,
      nodes: nodes
    } do
      start_on_disc(members)

      for type <- [:set, :ordered_set, :bag] do
        for kind <- [:blanket_copies, :ram_copies] do
          create(ann, type, kind, nodes, type: type, index: [:name])
          run(ann, :fill, [MnesiaPrograms.table(type, kind), 50])
        end

        to_blanket = MnesiaPrograms.table(type, :ram_copies)
        to_ram = MnesiaPrograms.table(type, :blanket_copies)

        for member <- [ann, bob] do
          assert run(member, :step, [{:change_kind, member.node, :blanket_copies}, to_blanket]) ==
                   :ok

          assert run(member, :step, [{:change_kind, member.node, :ram_copies}, to_ram]) == :ok
        end

        # Memory to disc: with one copy, as those in memory and on a disc do not go together.
        for member <- [bob, ann],
            do: :ok = run(ann, :step, [{:delete_copy, member.node}, to_blanket])

        kinds = [:disc_copies, :blanket_copies, :ram_copies, :disc_copies, :blanket_copies]

        for kind <- kinds,
            do: assert(run(cid, :step, [{:change_kind, cid.node, kind}, to_blanket]) == :ok)

        :ok = run(ann, :step, [{:add_copy, ann.node, :blanket_copies}, to_blanket])

        shape = [:id, :name, :count, :both]
        for table <- [to_blanket, to_ram], do: assert(run(bob, :transform, [table, shape]) == :ok)

        expected =
          for n <- 1..50, do: {:person, n, "name #{rem(n, 10)}", n, {n, "name #{rem(n, 10)}"}}

        for member <- members, table <- [to_blanket, to_ram] do
          assert run(member, :contents, [table]) == expected
          assert length(call(member, :mnesia, :dirty_index_read, [table, "name 3", 3])) == 5
        end
      end
    end

    test "a backup is what was there when it began, and is restored", %{
      members: [ann, bob, _cid] = members,
      nodes: nodes,
      tmp_dir: dir
    } do
      start_on_disc(members)
      create_all(ann, nodes, index: [:name])
      tables = for kind <- @kinds, do: MnesiaPrograms.table(:people, kind)
      for table <- tables, do: run(ann, :fill, [table, 100])
      before = await_same(members, @kinds)

      file = to_charlist(Path.expand("backup", dir))
      :ok = run(ann, :backup_while_written, [tables, file])
      assert await_same(members, @kinds) != before

      for options <- [[], [default_op: :recreate_tables]] do
        {:atomic, _} = call(bob, :mnesia, :restore, [file, options])
        assert await_same(members, @kinds) == before
        for kind <- @kinds, do: step(bob, :clear, kind)
      end

      # All nodes begin anew with what a fallback has.
      :ok = call(ann, :mnesia, :install_fallback, [file])
      Cluster.each(members, :mnesia, :stop, [])
      Cluster.each(members, MnesiaPrograms, :start, [])
      Cluster.each(members, MnesiaPrograms, :await, [tables])
      assert await_same(members, @kinds) == before
    end

    test "from disc to disc all copies change their kind", %{
      members: [ann, bob, cid] = members,
      nodes: nodes
    } do
      start_on_disc(members)
      create(ann, :people, :disc_copies, nodes, index: [:name])
      run(ann, :fill, [:people_disc_copies, 100])
      before = contents(ann, :people, :disc_copies)

      for {node, kind} <- [
            {ann.node, :blanket_disc_copies},
            {bob.node, :disc_only_copies},
            {bob.node, :blanket_disc_copies},
            {cid.node, :blanket_disc_copies}
          ],
          do: assert(step(cid, {:change_kind, node, kind}, :disc_copies) == :ok)

      # Mnesia would write nothing to the disc.
      assert {:aborted, {{"copies of this kind become" <> _, [_]}, :people_disc_copies, _}} =
               call(ann, :mnesia, :change_table_copy_type, [
                 :people_disc_copies,
                 ann.node,
                 :disc_copies
               ])

      for kind <- [:ram_copies, :disc_copies],
          do: assert(step(ann, {:change_kind, ann.node, kind}, :disc_copies) == :ok)

      # All that is left is on the discs.
      for member <- members, do: call(member, :mnesia, :stop, [])
      Cluster.each(members, MnesiaPrograms, :start, [])
      Cluster.each(members, MnesiaPrograms, :await, [[:people_disc_copies]])
      for member <- members, do: assert(contents(member, :people, :disc_copies) == before)
      for member <- members, do: assert(length(found(member, "name 3")) == 10)
    end

    defp found(member, name),
      do: call(member, :mnesia, :dirty_index_read, [:people_disc_copies, name, 3])

    test "all nodes are killed at once, and nothing that was acknowledged is lost", %{
      members: [ann | _] = members,
      nodes: nodes
    } do
      start_on_disc(members)
      always = [storage_properties: [blanket: [sync: :always]], index: [:name]]
      create(ann, :people, :blanket_disc_copies, nodes, always)

      # Mnesia's own log is not on the disc yet when it answers.
      for n <- 1..100, do: write(ann, :blanket_disc_copies, {:person, n, "Ada", n})
      for member <- members, do: Cluster.kill(member)
      [ann | _] = members = Enum.reduce(members, [], &[Cluster.revive(&1, &2) | &2])
      Cluster.each(members, MnesiaPrograms, :start, [])
      Cluster.each(members, MnesiaPrograms, :await, [[:people_blanket_disc_copies]])

      expected = for n <- 1..100, do: {:person, n, "Ada", n}
      assert await_same(members, [:blanket_disc_copies]) == expected

      assert length(
               call(ann, :mnesia, :dirty_index_read, [:people_blanket_disc_copies, "Ada", 3])
             ) == 100
    end

    test "of nodes that were all stopped, the one that went last begins", %{
      members: [ann, bob, cid] = members,
      nodes: nodes
    } do
      start_on_disc(members)
      create_all(ann, nodes, [])
      for kind <- @kinds, do: write(ann, kind, {:person, 1, "Ada", 1})
      await_same(members, @kinds)
      for member <- members, do: call(member, :mnesia, :stop, [])

      # What was in memory is gone. Not as ram_copies, the others wait for the last one.
      run(ann, :start, [])
      run(ann, :await, [[:people_ram_copies]])
      waiting = [:people_disc_copies, :people_blanket_copies, :people_blanket_disc_copies]
      assert {:timeout, still} = call(ann, :mnesia, :wait_for_tables, [waiting, 1])
      assert Enum.sort(still) == Enum.sort(waiting)
      run(cid, :start, [])
      run(ann, :await, [waiting])
      run(bob, :start, [])
      run(bob, :await, [waiting])
      assert contents(bob, :people, :disc_copies) == [{:person, 1, "Ada", 1}]
      assert contents(bob, :people, :blanket_disc_copies) == [{:person, 1, "Ada", 1}]
      assert contents(bob, :people, :blanket_copies) == []
    end
  end

  defp partitioned?(member) do
    run(member, :events, [])
    |> Enum.any?(&match?({:inconsistent_database, :running_partitioned_network, _}, &1))
  end

  defp await_same(members, kinds) do
    await_one(fn -> for member <- members, kind <- kinds, do: contents(member, :people, kind) end)
  end

  defp write(member, kind, object),
    do: step(member, {:in, :sync_transaction, [{:write, object}]}, kind)

  defp contents(member, base, kind),
    do: run(member, :contents, [MnesiaPrograms.table(base, kind)])

  defp create(member, base, kind, nodes, options \\ []),
    do: run(member, :create, [base, kind, nodes, options])

  defp step(member, step, kind),
    do: run(member, :step, [step, MnesiaPrograms.table(:people, kind)])

  defp run(member, function, arguments), do: call(member, MnesiaPrograms, function, arguments)

  defp call(member, module, function, arguments),
    do: Cluster.call(member, module, function, arguments)
end
